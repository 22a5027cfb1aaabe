/** The model of the open checkpoint, run here: how, how far, and what it shows. */
import { useEffect, useState } from 'preact/hooks';
import { bytes, count, counted, duration, maybe, number, parameters } from '../format';
import type { Device } from '../protocol';
import type { Claim, KindByLoss, Preservation, RunInput, RunPlan, RunSites, Verification } from '../report';
import { type Running, goOn, halted, runFailure, running, showVerified, stopRunning } from '../running';
import { media } from '../state/media';
import type { Opened } from '../state/opened';
import { SEED } from '../state/opening';
import { Falls } from './falls';
import { FigureView } from './figure';
import { MeasuredSites } from './measured';
import { Prose } from './prose';
import { Progressing } from './status';

const KINDS: Record<RunPlan['told'], string> = {
  layernorm: 'LayerNorms',
  rmsnorm: 'RMSNorms',
  other: 'another norm',
  unknown: 'what the configuration says',
};

export function Verify({ opened }: { opened: Opened }) {
  const { report } = opened;
  const { verification } = report;
  if (report.norms.length === 0) return null;
  return (
    <section id="verify" aria-labelledby="verify-heading">
      <h2 id="verify-heading">Run the model, here</h2>
      <p class="lead">
        This runs the model on this machine's GPU or CPU, block by block from its file. It measures the output of every norm,
        and the residual stream after every block. The weights stay where they are, and only one block of them is in memory at a
        time.
      </p>
      {opened.entries.some((entry) => 'seed' in entry) && (
        <p class="notice" id="drawn">
          You gave no weights. These are random, drawn from the configuration and seed {SEED}. The run measures this
          architecture at its initialisation.
        </p>
      )}
      {report.shared ? (
        <p class="muted">A report from a link has no weights, so it cannot run. Open the checkpoint.</p>
      ) : (
        <Controls parameters={report.checkpoint.parameters} />
      )}
      <RunningNow />
      <Halted />
      {runFailure.value && (
        <div class="notice failure" role="alert">
          <p class="line">
            <strong>Not run.</strong> <Prose>{runFailure.value.sentence}</Prose>
          </p>
          <button type="button" class="button" onClick={() => (runFailure.value = null)}>
            Dismiss
          </button>
        </div>
      )}
      {verification?.pass && <Findings opened={opened} verification={verification} pass={verification.pass} />}
    </section>
  );
}

/** What is run on files, and which files these are. */
const FILES: Partial<Record<RunInput, string>> = {
  text: '.txt,.md,text/plain',
  ids: '.txt,text/plain',
  images: 'image/*',
  pixels: '.safetensors',
  sounds: 'audio/*',
};

/** Models up to this many parameters are moved along, and run at their initialisation, unless somebody says not to: it takes seconds. */
const SMALL = 5e6;

function Controls({ parameters }: { parameters: number }) {
  const [input, setInput] = useState<RunInput>('usual');
  const [sites, setSites] = useState<RunSites>('all');
  const [device, setDevice] = useState<Device>('fastest');
  const [tokens, setTokens] = useState('');
  const [blocks, setBlocks] = useState('');
  const [preservation, setPreservation] = useState(parameters <= SMALL);
  const [random, setRandom] = useState(parameters <= SMALL);
  const [files, setFiles] = useState<File[]>([]);
  const wantsFile = input in FILES;
  const several = input === 'images' || input === 'sounds';
  useEffect(() => {
    if (media.value === null) return;
    setInput(media.value.kind);
    setFiles(media.value.files);
  }, [media.value]);
  const positive = (text: string) => (Number.parseInt(text, 10) > 0 ? Number.parseInt(text, 10) : null);
  return (
    <div class="buttons measure-controls">
      <button
        type="button"
        class="button strong"
        disabled={running.value !== null || (wantsFile && files.length === 0)}
        onClick={() =>
          showVerified({
            input,
            sites,
            device,
            preservation,
            seed: random ? SEED : null,
            tokens: positive(tokens),
            blocks: positive(blocks),
            ...(wantsFile ? { files } : {}),
          })
        }
      >
        Verify
      </button>
      <label class="choice">
        on
        <select
          class="pick-input"
          value={input}
          onChange={(event) => {
            setInput(event.currentTarget.value as RunInput);
            setFiles([]);
          }}
        >
          <option value="usual">a sample text, or noise if it reads no text</option>
          <option value="uniform">uniform token ids</option>
          <option value="text">a text of yours…</option>
          <option value="ids">token ids of yours…</option>
          <option value="images">images of yours…</option>
          <option value="pixels">pixel values of yours…</option>
          <option value="sounds">sounds of yours…</option>
        </select>
      </label>
      {wantsFile && (
        <label class="choice">
          <span class="sr-only">{several ? `The ${input}` : 'The file'}</span>
          <input
            key={input}
            type="file"
            class="pick-text"
            accept={FILES[input]}
            multiple={several}
            onChange={(event) => setFiles([...(event.currentTarget.files ?? [])])}
          />
          {several && files === media.value?.files && <span id="media-chosen">{counted(files.length, 'file')} chosen</span>}
        </label>
      )}
      <label class="choice">
        tokens
        <input
          type="number"
          class="pick-tokens"
          min={1}
          step={1}
          placeholder="4 × width"
          value={tokens}
          onInput={(event) => setTokens(event.currentTarget.value)}
        />
      </label>
      <label class="choice">
        blocks
        <input
          type="number"
          class="pick-tokens"
          min={1}
          step={1}
          placeholder="all"
          value={blocks}
          onInput={(event) => setBlocks(event.currentTarget.value)}
        />
      </label>
      <label class="choice">
        measuring
        <select class="pick-sites" value={sites} onChange={(event) => setSites(event.currentTarget.value as RunSites)}>
          <option value="all">every norm</option>
          <option value="final">the final norm</option>
        </select>
      </label>
      <label class="choice">
        <input
          type="checkbox"
          class="pick-preservation"
          checked={preservation}
          onChange={(event) => setPreservation(event.currentTarget.checked)}
        />
        also move readers along their kernels
      </label>
      <label class="choice">
        <input type="checkbox" class="pick-random" checked={random} onChange={(event) => setRandom(event.currentTarget.checked)} />
        also with random weights
      </label>
      <label class="choice">
        on the
        <select class="pick-machine" value={device} onChange={(event) => setDevice(event.currentTarget.value as Device)}>
          <option value="fastest">fastest of GPU and CPU</option>
          <option value="gpu">GPU, if there is one</option>
          <option value="cpu">CPU</option>
        </select>
      </label>
    </div>
  );
}

function RunningNow() {
  const now = running.value;
  if (!now) return null;
  const { plan, begin } = now;
  if (begin && plan) {
    return (
      <div class="notice opening">
        <p class="line">
          <strong>The plan:</strong> <Plan {...now} plan={plan} />
        </p>
        <button type="button" class="button strong" onClick={begin}>
          Run it
        </button>
        <button type="button" class="button" onClick={stopRunning}>
          Cancel
        </button>
      </div>
    );
  }
  return (
    <>
      <Progressing
        progress={plan && { stage: 'blocks', done: now.blocks, total: plan.blocks, bytes_read: 0 }}
        label="Progress of the run"
        start="Loading the verifier…"
        stop={now.measured > 0 ? 'Stop and keep' : 'Stop'}
        onStop={stopRunning}
      />
      {plan && (
        <p class="muted small">
          {now.twin && 'Now with random weights. '}
          {count(now.measured)} of {count(now.shown)} norms and streams that were shown are measured.{' '}
          {now.losses > 0 && `The kind is judged by the loss of ${count(now.losses)} tokens so far. `}
          {now.moved > 0 && `${count(now.moved)} of ${count(plan.moves)} moved readers are tried. `}
          <Plan {...now} plan={plan} />
        </p>
      )}
    </>
  );
}

/** What a run takes, in a few sentences. */
function Plan({ plan, workers }: Pick<Running, 'workers'> & { plan: RunPlan }) {
  const where = (device: string) => (device === 'cpu' ? 'the CPU' : device);
  return (
    <>
      {counted(plan.sequences, 'sequence')} of {count(plan.length)} tokens of {plan.input} through{' '}
      {plan.left_out > 0 ? `the first ${count(plan.blocks)} of ${count(plan.blocks + plan.left_out)} blocks` : counted(plan.blocks, 'block')} of{' '}
      <code>{plan.family}</code>, {counted(plan.sites, 'norm')} measured: {bytes(plan.bytes)} to read, {parameters(plan.operations)}{' '}
      operations, {bytes(plan.memory)} of memory. About {duration(plan.pass_seconds)} of running on {where(plan.device)} beside{' '}
      {duration(plan.measuring_seconds / workers)} of measuring by {counted(workers, 'worker')}
      {plan.moves > 0 && `, ${count(plan.moves)} short passes with a reader moved`}
      {plan.losses && `, and passes with the other kind of norm for the loss, on ${count(plan.loss_tokens)} tokens at most`}.
      {plan.warnings.map(({ code, message }) => (
        <span key={code}>
          {' '}
          <Prose>{message}</Prose>.
        </span>
      ))}
    </>
  );
}

function Halted() {
  const now = halted.value;
  if (!now || running.value) return null;
  return (
    <div class={now.sentence === null ? 'notice' : 'notice failure'} role="alert">
      <p class="line">
        <strong>
          Stopped after {count(now.blocks)} of {counted(now.total, 'block')}.
        </strong>{' '}
        {now.sentence !== null && <Prose>{now.sentence}</Prose>} The measurements so far are kept.
      </p>
      <button type="button" class="button strong" onClick={goOn}>
        Go on
      </button>
    </div>
  );
}

type FindingsProps = { opened: Opened; verification: Verification; pass: NonNullable<Verification['pass']> };

function Findings({ opened, verification, pass }: FindingsProps) {
  const { inspector, report } = opened;
  const { residual, falls, loss } = verification;
  const [first] = residual;
  const last = residual.at(-1);
  return (
    <>
      <p class="lead" id="verified">
        {counted(pass.sequences, 'sequence')} of {count(pass.length)} tokens, run as <code>{pass.family}</code> in f32.
        {pass.left_out > 0 && ` Only its first blocks: the ${counted(pass.left_out, 'block')} after them were left out.`}
        {pass.loss !== null && ` Loss ${number(pass.loss)} nats a token.`} The run treated the norms as {KINDS[pass.told]}, so a
        kernel below is no evidence of their kind.
      </p>
      {verification.preservation.length > 0 && <Preserved opened={opened} rows={verification.preservation} />}
      {loss && <ByLoss {...loss} />}
      <MeasuredSites opened={opened} verification={verification} />
      {first && last && (
        <>
          <h3>The residual stream, block by block</h3>
          <p>
            Its least singular value is {maybe(first.sigma_min)} after block {first.block} and {maybe(last.sigma_min)} after block{' '}
            {last.block}, at n/d {maybe(verification.tokens / (report.model.width ?? verification.tokens))}.{' '}
            {falls.length === 0
              ? 'It never falls by more than a hundredth.'
              : `It falls after ${counted(falls.length, 'block')}, ${count(falls.filter((fall) => fall.on_both_halves).length)} of them on both halves of the tokens.`}
          </p>
          <FigureView inspector={inspector} report={report} kind="residual" checkpoint={report.checkpoint.name} />
          {falls.length > 0 && <Falls falls={falls} />}
        </>
      )}
      {verification.random_init && <BesideRandom opened={opened} seed={verification.random_init.seed} />}
      {verification.claims.length > 0 && <BesidePaper claims={verification.claims} />}
    </>
  );
}

/** The trained model beside the same architecture with random weights. */
function BesideRandom({ opened: { inspector, report }, seed }: { opened: Opened; seed: number }) {
  return (
    <>
      <h3>Trained and with random weights</h3>
      <p id="beside-random">
        The same architecture with γ = 1, β = 0 and weights drawn from seed {seed}, on the same tokens. A depth may change
        because its λ_v does, or because the mean variance does. The figure shows both.
      </p>
      <FigureView inspector={inspector} report={report} kind="random_init" checkpoint={report.checkpoint.name} />
    </>
  );
}

/** What the paper claims, and whether this model shows it. */
function BesidePaper({ claims }: { claims: readonly Claim[] }) {
  return (
    <>
      <h3>The paper’s claims</h3>
      <ul id="beside-paper">
        {claims.map(({ paper, found, agrees }) => (
          <li key={paper}>
            {paper}. <strong>{agrees ? 'Here too' : 'Not here'}</strong>: {found}.
          </li>
        ))}
      </ul>
    </>
  );
}

/** What becomes of the function when readers are moved. */
function Preserved({ opened: { inspector, report }, rows }: { opened: Opened; rows: readonly Preservation[] }) {
  const isDead = ({ in_kernel, direction }: Preservation) => in_kernel && direction === 'kernel';
  const dead = rows.filter(isDead);
  const kept = dead.filter(({ verdict }) => verdict === 'preserved').length;
  const others = rows.filter((row) => !isDead(row));
  const changed = others.filter(({ verdict }) => verdict === 'changed').length;
  return (
    <>
      <h3>What moving a reader does to the function</h3>
      <p id="preserved">
        The run changes weights that read a norm to W + t a vᵀ, and runs the model again.{' '}
        {dead.length > 0
          ? `Along the kernel, with the bias moved, the function stays at its rounding for every t at ${count(kept)} of ${counted(dead.length, 'site')}. `
          : 'No dead direction is predicted here. '}
        Along other directions it changes in {count(changed)} of {counted(others.length, 'case')}: a divergence grows as t², a change of
        hidden states as t.
      </p>
      <FigureView inspector={inspector} report={report} kind="preservation" checkpoint={report.checkpoint.name} />
    </>
  );
}

/** The kind of the norms by what the wrong one costs: the one finding of a run that is no circle. */
function ByLoss({ layernorm, rmsnorm, difference, standard_error, tokens, kind }: KindByLoss) {
  const says = {
    layernorm: 'the norms are LayerNorms',
    rmsnorm: 'the norms are RMSNorms',
    other: 'it says nothing',
    unknown: 'that is under five standard errors, so it says nothing',
  }[kind];
  return (
    <p id="by-loss">
      The same {count(tokens)} tokens cost {number(layernorm)} nats with the norms as LayerNorms and {number(rmsnorm)} as RMSNorms, a
      difference of {difference.toFixed(4)} ± {standard_error.toFixed(4)}: <strong>{says}</strong>. This is evidence of the
      kind. The kernels of a run are not.
    </p>
  );
}
