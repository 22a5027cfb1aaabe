/** The warnings: what to know before relying on the report. */
import { useState } from 'preact/hooks';
import { count, counted } from '../format';
import type { Report } from '../report';
import { pointAt, siteByName } from '../state/opened';
import { Heading } from './heading';
import { Prose } from './prose';

const STEP = 50;

export function Warnings({ report: { warnings } }: { report: Report }) {
  const [shown, setShown] = useState(STEP);
  if (warnings.length === 0) return null;
  return (
    <section id="warnings" aria-labelledby="warnings-heading">
      <Heading of="warnings">{counted(warnings.length, 'warning')}</Heading>
      <ul class="warnings">
        {warnings.slice(0, shown).map(({ code, message, where }, index) => (
          <li key={index}>
            <code>{code}</code>
            <p>
              <Prose>{message}</Prose>
            </p>
            {where &&
              (siteByName.value.has(where) ? (
                <button type="button" class="link mono" onClick={() => pointAt(where)}>
                  {where}
                </button>
              ) : (
                <span class="mono muted">{where}</span>
              ))}
          </li>
        ))}
      </ul>
      {warnings.length > shown && (
        <button type="button" class="button" onClick={() => setShown(shown + STEP)}>
          Show more ({count(warnings.length - shown)} left)
        </button>
      )}
    </section>
  );
}
