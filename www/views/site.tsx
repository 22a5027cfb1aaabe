/** The details of one site: its verdict and evidence, its kernel, its figures and the linear maps that read it. */
import { KINDS, USES, confidenceWord, count, probability } from '../format';
import type { FigureKind, NormReport } from '../report';
import type { Opened } from '../state/opened';
import { CopyLink } from './copy-link';
import { Alternatives, Evidence } from './evidence';
import { FigureView } from './figure';
import { KernelFacts, whyNoDirection } from './kernel';
import { lazily } from './lazily';
import { MeasuredSite } from './measured-site';
import { Prose } from './prose';
import { Word } from './term';

const READERS = 50;

const ExportSite = lazily(() => import('./export').then((views) => views.ExportSite));

export function Site({ opened: { report, inspector }, norm }: { opened: Opened; norm: NormReport }) {
  const direction: FigureKind[] = norm.kernel.form === 'inverse_scale' ? ['kernel_direction'] : [];
  const spectrum: FigureKind[] = norm.kind === 'layernorm' || norm.kind === 'rmsnorm' ? ['soft_spectrum'] : [];
  const measured = report.verification?.sites.find(({ name }) => name === norm.name);
  const against: FigureKind[] = measured && measured.direction.length > 0 ? ['measured_direction'] : [];
  const figures: FigureKind[] = [...direction, ...against, 'scale_distribution', ...spectrum, 'evidence'];
  const readable = norm.problem === null;
  return (
    <>
      {norm.problem !== null && (
        <p class="notice caution">
          <Prose>{norm.problem}</Prose>
        </p>
      )}
      <div class="panel-top">
        <section>
          <div class="heading">
            <h3>
              {KINDS[norm.kind]}, {confidenceWord(norm.confidence)}
              {norm.confidence > 0 && ` (${probability(norm.confidence)})`}
            </h3>
            <CopyLink site={norm.name} label={`Copy link to ${norm.name}`} />
          </div>
          <Alternatives alternatives={norm.alternatives} />
          <Evidence evidence={norm.evidence} />
          {norm.settle !== null && (
            <p class="settle">
              <strong>What would settle it.</strong> <Prose>{norm.settle}</Prose>
            </p>
          )}
        </section>
        <section>
          <h3>Kernel and scale</h3>
          {norm.kernel.form !== 'inverse_scale' && norm.problem === null && <p>{whyNoDirection(norm)}</p>}
          <KernelFacts norm={norm} />
          <p class="muted small">
            <Prose>{norm.convention_reason}</Prose>
          </p>
          {!report.shared && (norm.kernel.form === 'inverse_scale' || norm.kernel.form === 'coordinates') && (
            <ExportSite report={report} site={norm.name} />
          )}
        </section>
      </div>
      {measured && <MeasuredSite {...measured} />}
      {readable && (
        <div class="figures">
          {figures.map((kind) => (
            <FigureView
              key={kind}
              inspector={inspector}
              report={report}
              kind={kind}
              site={norm.name}
              checkpoint={report.checkpoint.name}
            />
          ))}
        </div>
      )}
      <Readers norm={norm} />
    </>
  );
}

function Readers({ norm: { name, readers, reader_note } }: { norm: NormReport }) {
  return (
    <section>
      <h3>Readers</h3>
      {reader_note !== null && (
        <p class="muted">
          <Prose>{reader_note}</Prose>
        </p>
      )}
      {readers.length > 0 && (
        <div class="scroll" role="region" aria-label={`Readers of ${name}`} tabIndex={0}>
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">
                  <Word term="reader" />
                </th>
                <th scope="col">Use</th>
                <th scope="col" class="numeric">
                  <Word term="rows" />
                </th>
                <th scope="col" class="numeric">
                  <Word term="outright">Outright</Word>
                </th>
                <th scope="col" class="numeric">
                  <Word term="with_bias_shift">Bias moved</Word>
                </th>
                <th scope="col" class="numeric">
                  <Word term="constant_shift">Constant</Word>
                </th>
                <th scope="col" class="numeric">
                  <Word term="tied">Tied</Word>
                </th>
                <th scope="col">Assumed</th>
              </tr>
            </thead>
            <tbody>
              {readers.slice(0, READERS).map((reader) => (
                <tr key={reader.name}>
                  <th scope="row" class="mono">
                    {reader.name}
                  </th>
                  <td>{USES[reader.use]}</td>
                  <td class="numeric">{count(reader.rows)}</td>
                  <td class="numeric">{count(reader.dead.outright)}</td>
                  <td class="numeric">{count(reader.dead.with_bias_shift)}</td>
                  <td class="numeric">{count(reader.dead.constant_shift)}</td>
                  <td class="numeric">{count(reader.dead.tied)}</td>
                  <td class="muted">
                    <Prose>{reader.assumed ?? ''}</Prose>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {readers.length > READERS && (
            <p class="muted">
              The first {READERS} of {count(readers.length)} readers; the section on dead directions lists all.
            </p>
          )}
        </div>
      )}
    </section>
  );
}
