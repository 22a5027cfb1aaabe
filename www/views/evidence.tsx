/** What speaks for LayerNorm and for RMSNorm at one site, as bars to either side of a middle line. */
import { KINDS, number } from '../format';
import type { EvidenceReport } from '../report';
import { Prose } from './prose';
import { Word } from './term';

/** The axis reaches at least this far, so that weak evidence also looks weak. */
const LEAST_REACH = 5;

export function Evidence({ evidence }: { evidence: readonly EvidenceReport[] }) {
  const reach = Math.max(LEAST_REACH, ...evidence.map(({ strength }) => strength));
  if (evidence.length === 0) return <p class="muted">There is no evidence about this site.</p>;
  return (
    <div class="evidence">
      <div class="evidence-axis" aria-hidden="true">
        <span>← LayerNorm</span>
        <span class="muted">nats</span>
        <span>RMSNorm →</span>
      </div>
      <ul>
        {evidence.map(({ source, says, strength, detail }, index) => {
          const sided = strength > 0 && (says === 'layernorm' || says === 'rmsnorm');
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
