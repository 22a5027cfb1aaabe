/** The final norm, whose output the unembedding reads: its kernel direction as a picture. */
import { type Opened, pointAt } from '../state/opened';
import { FigureView } from './figure';
import { Heading } from './heading';
import { KernelFacts, whyNoDirection } from './kernel';
import { Word } from './term';

export function FinalNorm({ opened: { report, inspector } }: { opened: Opened }) {
  const norm = report.norms.find(({ name }) => name === report.model.final_norm);
  if (!norm) return null;
  return (
    <section id="kernel" aria-labelledby="kernel-heading">
      <Heading of="kernel">
        The final norm’s{' '}
        {norm.kernel.form === 'inverse_scale' ? <Word term="kernel_direction">kernel direction</Word> : <Word term="scale">scales</Word>}
      </Heading>
      <p class="lead">
        <button type="button" class="link mono" onClick={() => pointAt(norm.name)}>
          {norm.name}
        </button>
        {norm.kernel.form === 'inverse_scale' && ': computed from its scale alone.'}
      </p>
      {whyNoDirection(norm) && <p class="lead">{whyNoDirection(norm)}</p>}
      <div class="with-facts">
        <FigureView
          inspector={inspector}
          report={report}
          kind={norm.kernel.form === 'inverse_scale' ? 'kernel_direction' : 'scale_distribution'}
          site={norm.name}
          checkpoint={report.checkpoint.name}
        />
        <div class="card">
          <KernelFacts norm={norm} />
        </div>
      </div>
    </section>
  );
}
