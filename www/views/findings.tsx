/** The results to read first, each with advice and a link to where the page shows it. */
import { count } from '../format';
import type { Finding, FindingSection } from '../report';
import { pointAt, siteByName } from '../state/opened';
import { Heading } from './heading';
import { Prose } from './prose';

/** If there are more findings, the rest is folded. */
const SHOWN = 5;

const SECTIONS: Record<FindingSection, { id: string; label: string }> = {
  kernel: { id: 'kernel', label: 'See the kernel' },
  dead: { id: 'dead', label: 'See what is dead' },
  sites: { id: 'sites', label: 'See the norms' },
  measured: { id: 'measure-result', label: 'See the measurement' },
  run: { id: 'run-result', label: 'See the run' },
  warnings: { id: 'warnings', label: 'See the warnings' },
};

export function Findings({ findings }: { findings: readonly Finding[] }) {
  if (findings.length === 0) return null;
  // A single one more is not folded.
  const shown = findings.length === SHOWN + 1 ? findings.length : SHOWN;
  return (
    <div id="findings">
      <Heading of="findings">What stands out</Heading>
      <List findings={findings.slice(0, shown)} />
      {findings.length > shown && (
        <details class="more">
          <summary>{count(findings.length - shown)} more</summary>
          <List findings={findings.slice(shown)} />
        </details>
      )}
    </div>
  );
}

function List({ findings }: { findings: readonly Finding[] }) {
  return (
    <ul class="findings">
      {findings.map((finding) => (
        <li key={finding.code + finding.text} data-code={finding.code}>
          <p>
            <Prose>{finding.text}</Prose> <Where {...finding} />
          </p>
          <p class="muted">
            <Prose>{finding.advice}</Prose>
          </p>
        </li>
      ))}
    </ul>
  );
}

/** A link to what shows the finding: the row of a site, or a section. */
function Where({ section, site }: Finding) {
  if (section === 'sites' && site !== null && siteByName.value.has(site)) {
    return (
      <button type="button" class="link" onClick={() => pointAt(site)}>
        See this norm
      </button>
    );
  }
  const { id, label } = SECTIONS[section];
  return <a href={`#${id}`}>{label}</a>;
}
