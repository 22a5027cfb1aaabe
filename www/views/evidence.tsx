/** The evidence of one site as bars: for LayerNorm to the left, for other norms to the right. And all that the norm may be. */
import { BEHAVIOURS, KINDS, number, probability } from '../format';
import type { AlternativeReport, EvidenceReport } from '../report';
import { Prose } from './prose';
import { Word } from './term';

/** The axis reaches at least this far, so that weak evidence also looks weak. */
const LEAST_REACH = 5;

/** All that the norm may be, most probable first. */
export function Alternatives({ alternatives }: { alternatives: readonly AlternativeReport[] }) {
  const sorted = [...alternatives].sort((a, b) => b.probability - a.probability);
  return (
    <ul class="alternatives">
      {sorted.map(({ behaviour, probability: share }) => (
        <li key={behaviour}>
          <span class="numeric">{probability(share)}</span> {BEHAVIOURS[behaviour]}
        </li>
      ))}
    </ul>
  );
}

export function Evidence({ evidence }: { evidence: readonly EvidenceReport[] }) {
  const reach = Math.max(LEAST_REACH, ...evidence.map(({ strength }) => strength));
  if (evidence.length === 0) return <p class="muted">There is no evidence about this site.</p>;
  return (
    <div class="evidence">
      <div class="evidence-axis" aria-hidden="true">
        <span>← LayerNorm</span>
        <span class="muted">nats</span>
        <span>RMSNorm or another norm →</span>
      </div>
      <ul>
        {evidence.map(({ source, says, strength, detail }, index) => {
          const sided = strength > 0 && says !== 'unknown';
          return (
            <li key={index}>
              <span class="source">{source}</span>
              <span class="track" aria-hidden="true">
                {sided && <span class={`bar ${says}`} style={{ width: `${(50 * strength) / reach}%` }} />}
              </span>
              <span class="says">
                {strength === 0 ? (
                  <span class="muted">{says === 'unknown' ? 'abstains' : KINDS[says]}</span>
                ) : (
                  <>
                    {KINDS[says]} <Word term="strength">{`${number(strength)} nats`}</Word>
                  </>
                )}
              </span>
              <span class="what">
                <Prose>{detail}</Prose>
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
