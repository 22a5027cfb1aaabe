/** The page before anything is open: what it does, how to open a checkpoint, and what happens to the data. */
import { useEffect } from 'preact/hooks';
import { prepareSoon } from '../inspector';
import { opening } from '../state/opening';
import { awaited } from '../state/place';
import { visit } from '../state/visit';
import { Openers } from './openers';
import { Opening } from './status';

export function Welcome() {
  const { site } = awaited.value;
  // An open that is going on has its own worker.
  useEffect(() => prepareSoon('inspector', 0, () => !opening.value), []);
  return (
    <section class="welcome" aria-labelledby="welcome-heading">
      <div class="pitch">
        <h1 id="welcome-heading">See which directions of a transformer are algebraically dead</h1>
        <p>
          The output of a LayerNorm never varies along one direction, and its scale alone gives that direction. Drop a
          checkpoint. Gammascope finds every norm, says whether it is LayerNorm or RMSNorm, and shows its direction. Then it
          counts the parameters that can change without changing what the network computes.
        </p>
        <ul class="uses">
          <li>
            <b>Interpretability.</b> See whether folding γ (<code>fold_ln</code>) and centring (<code>center_writing_weights</code>) keep
            what the model computes, and <To id="export">export the dead directions</To>.
          </li>
          <li>
            <b>Smaller models.</b> Find channels to prune, remove dead weights before quantisation calibration, and see{' '}
            <To id="adapter">what an adapter wastes</To>.
          </li>
          <li>
            <b>Ports.</b> Find a wrong norm or a lost 1 + w: <To id="compare">compare with the original</To>, or{' '}
            <To id="verify">run the model</To>.
          </li>
        </ul>
        <Illustration />
      </div>
      <div class="dropzone">
        {opening.value ? (
          <Opening />
        ) : (
          <>
            <p class="drop-here">Drop a checkpoint anywhere</p>
            {site !== null && (
              <p class="notice" id="awaited">
                <span class="line">
                  This link points at <span class="mono">{site}</span>. Open the checkpoint that has it.
                </span>
              </p>
            )}
            <p class="muted">A safetensors, GGUF, ONNX or PyTorch file, several shards, or the whole folder with its config.json.</p>
            <Openers />
          </>
        )}
        <p class="privacy">
          <strong>Nothing leaves this machine.</strong> There is no server. The page reads the headers and the norm scales,
          which are a few kilobytes even in a very large file. Then it samples the weights if you let it. It makes no request
          for this. If you open an address, the page asks only the host in that address.
        </p>
      </div>
    </section>
  );
}

/** A button that opens a sample at one of the tools. */
function To({ id, children }: { id: string; children: string }) {
  return (
    <button type="button" class="link" title="Opens the LayerNorm sample, at this tool" onClick={() => visit(id)}>
      {children}
    </button>
  );
}

const SCALES = [
  8, 9, 7, 10, 8, 6, 9, 11, 8, 7, 2.4, 9, 10, 8, 9, 7, 8, 4, 9, 10, 8, 7, 9, 8, 1.5, 9, 8, 10, 7, 9, 8, 6,
];
const STEP = 12;

/** A drawing of what the tool does: scales above, their inverses below. The smallest scale is the longest bar of v. */
function Illustration() {
  const longest = Math.max(...SCALES.map((scale) => 1 / scale));
  const width = SCALES.length * STEP;
  return (
    <svg class="illustration" viewBox={`0 0 ${width + 24} 150`} aria-hidden="true">
      <line x1="24" x2={width + 24} y1="70" y2="70" />
      {SCALES.map((scale, index) => {
        const inverse = 60 / scale / longest;
        return (
          <g key={index}>
            <rect class="scale" x={26 + index * STEP} width="7" y={68 - scale * 5} height={scale * 5} />
            <rect
              class={inverse > 30 ? 'inverse peak' : 'inverse'}
              x={26 + index * STEP}
              width="7"
              y="72"
              height={inverse}
            />
          </g>
        );
      })}
      <text x="14" y="50" text-anchor="middle">
        γ
      </text>
      <text x="14" y="104" text-anchor="middle">
        v
      </text>
    </svg>
  );
}
