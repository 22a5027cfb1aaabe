/** The measurement of one site: each number, and its range on the halves of the tokens. */
import { maybe } from '../format';
import type { Term } from '../terms';
import type { Interval, SiteVerification } from '../report';
import { Prose } from './prose';
import { Word } from './term';

type Row = { term: Term; label: string; value: number | null; interval: Interval | null };

/** How many times deeper the scale makes the kernel. Null if the norm has none. */
function deepening({ verdict, depth, depth_scale_free }: SiteVerification): number | null {
  return verdict === 'mean_subtracting' && depth_scale_free ? depth / depth_scale_free : null;
}

export function MeasuredSite(site: SiteVerification) {
  const rows: Row[] = [
    { term: 'depth_scale_free', label: 'depth^', value: site.depth_scale_free, interval: site.depth_scale_free_interval },
    { term: 'cos_scale_free', label: '|cos^|', value: site.cos_scale_free, interval: site.cos_scale_free_interval },
    { term: 'depth', label: 'depth', value: site.depth, interval: site.depth_interval },
    { term: 'measured_deepening', label: 'depth / depth^', value: deepening(site), interval: null },
    { term: 'cos', label: '|cos|', value: site.cos, interval: site.cos_interval },
    { term: 'sin_bound', label: 'sin ≤', value: site.sin_bound, interval: null },
    { term: 'gap', label: 'gap', value: site.gap, interval: site.gap_interval },
    { term: 'schur', label: 'Schur', value: site.schur, interval: site.schur_interval },
    { term: 'schur_null', label: 'null', value: site.schur_null, interval: null },
  ];
  return (
    <section>
      <h3>Measured</h3>
      <div class="scroll narrow" role="region" aria-label={`Measured at ${site.name}`} tabIndex={0}>
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Number</th>
              <th scope="col" class="numeric">
                All tokens
              </th>
              <th scope="col" class="numeric">
                <Word term="halves" />
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ term, label, value, interval }) => (
              <tr key={term}>
                <th scope="row">
                  <Word term={term}>{label}</Word>
                </th>
                <td class="numeric">{maybe(value)}</td>
                <td class="numeric">{interval ? `${maybe(interval.low)} … ${maybe(interval.high)}` : '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {site.notes.map((note) => (
        <p key={note} class="muted small">
          <Prose>{note}</Prose>
        </p>
      ))}
    </section>
  );
}
