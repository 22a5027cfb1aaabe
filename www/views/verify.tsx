/** Runs the model of the open checkpoint: options, progress and failures. */
import '../styles/verify.css';
import { useEffect, useState } from 'preact/hooks';
import { bytes, count, counted, duration, parameters } from '../format';
import { prepareSoon } from '../inspector';
import type { Device } from '../protocol';
import type { RunInput, RunSites } from '../report';
import { type Planned, goOn, stopped, runFailure, running, secondsOf, showVerified, stopRunning } from '../running';
import { media } from '../state/media';
import type { Opened } from '../state/opened';
import { SEED } from '../state/opening';
import { Heading } from './heading';
import { Prose } from './prose';
import { sequencesOf } from './sequences';
import { Progressing } from './status';

export function Verify({ opened }: { opened: Opened }) {
  const { report } = opened;
  return (
    <section class="card" id="verify" aria-labelledby="verify-heading">
      <Heading of="verify" as="h3">Run the model, here</Heading>
      <p>
        This runs the model on this machine’s GPU or CPU, measures every norm, and compares the loss with each kind of norm.
      </p>
      {opened.entries.some((entry) => 'seed' in entry) && (
        <p class="notice" id="drawn">
          You gave no weights. These are random, drawn from the configuration and seed {SEED}. The run measures this
          architecture at its initialisation.
        </p>
      )}
      <Controls parameters={report.checkpoint.parameters} done={report.verification?.pass != null} />
      <RunningNow />
      <Stopped />
      {runFailure.value && (
        <div class="notice failure" role="alert">
          <p class="line">
            <strong>Not run.</strong> <Prose>{ended(runFailure.value.sentence)}</Prose>
            {runFailure.value.refused && <Instead />}
          </p>
          <button type="button" class="button" onClick={() => (runFailure.value = null)}>
            Dismiss
          </button>
        </div>
      )}
    </section>
  );
}

/** The inputs that come from files, and the accepted file types. */
const FILES: Partial<Record<RunInput, string>> = {
  text: '.txt,.md,text/plain',
  ids: '.txt,text/plain',
  images: 'image/*',
  pixels: '.safetensors',
  sounds: 'audio/*',
};

/** Up to this many parameters, moving readers and the run with random weights are on by default: they take seconds. */
const SMALL = 5e6;

/** A report is on the screen this long before the verifier loads. */
const AHEAD_MS = 1_500;

function Controls({ parameters, done }: { parameters: number; done: boolean }) {
  const [input, setInput] = useState<RunInput>('usual');
  const [sites, setSites] = useState<RunSites>('all');
  const [device, setDevice] = useState<Device>('fastest');
  const [tokens, setTokens] = useState('');
  const [blocks, setBlocks] = useState('');
  const [assumed, setAssumed] = useState('');
  const [preservation, setPreservation] = useState(parameters <= SMALL);
  const [random, setRandom] = useState(parameters <= SMALL);
  const [files, setFiles] = useState<File[]>([]);
  const [options, setOptions] = useState(false);
  const wantsFile = input in FILES;
  const several = input === 'images' || input === 'sounds';
  useEffect(() => {
    if (media.value === null) return;
    setInput(media.value.kind);
    setFiles(media.value.files);
    setOptions(true);
  }, [media.value]);
  useEffect(() => prepareSoon('verifier', AHEAD_MS), []);
  const positive = (text: string) => (Number.parseInt(text, 10) > 0 ? Number.parseInt(text, 10) : null);
  return (
    <>
      <div class="buttons">
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
              assume: assumed.split(/[\s,]+/).filter(Boolean),
              ...(wantsFile ? { files } : {}),
            })
          }
        >
          Run
        </button>
        {done && (
          <a class="button quiet" href="#run-result">
            See the result
          </a>
        )}
      </div>
      <details class="more" open={options} onToggle={(event) => setOptions(event.currentTarget.open)}>
        <summary>Options</summary>
        <div class="options-grid">
          <label class="option">
            Input
            <select
              class="pick-input"
              value={input}
              onChange={(event) => {
                setInput(event.currentTarget.value as RunInput);
                setFiles([]);
              }}
            >
              <option value="usual">A sample text, or noise</option>
              <option value="uniform">Uniform token ids</option>
              <option value="text">Your text…</option>
              <option value="ids">Your token ids…</option>
              <option value="images">Your images…</option>
              <option value="pixels">Your pixel values…</option>
              <option value="sounds">Your sounds…</option>
            </select>
          </label>
          {wantsFile && (
            <label class="option">
              {several ? `The ${input}` : 'The file'}
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
          <label class="option">
            Tokens
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
          <label class="option">
            Blocks
            <input
              type="number"
              class="pick-tokens"
              min={1}
              step={1}
              placeholder="All"
              value={blocks}
              onInput={(event) => setBlocks(event.currentTarget.value)}
            />
          </label>
          <label class="option">
            Measure
            <select class="pick-sites" value={sites} onChange={(event) => setSites(event.currentTarget.value as RunSites)}>
              <option value="all">Every norm</option>
              <option value="final">The final norm</option>
            </select>
          </label>
          <label class="option">
            Run on
            <select class="pick-machine" value={device} onChange={(event) => setDevice(event.currentTarget.value as Device)}>
              <option value="fastest">The faster of GPU and CPU</option>
              <option value="gpu">The GPU, if there is one</option>
              <option value="cpu">The CPU</option>
            </select>
          </label>
          <label class="option">
            Fields of the configuration to leave out
            <input
              class="pick-assumed"
              placeholder="none"
              autocomplete="off"
              spellcheck={false}
              value={assumed}
              onInput={(event) => setAssumed(event.currentTarget.value)}
            />
          </label>
          <label class="choice">
            <input
              type="checkbox"
              class="pick-preservation"
              checked={preservation}
              onChange={(event) => setPreservation(event.currentTarget.checked)}
            />
            Also move readers along their kernels, and see whether the output changes
          </label>
          <label class="choice">
            <input type="checkbox" class="pick-random" checked={random} onChange={(event) => setRandom(event.currentTarget.checked)} />
            Also run the same architecture with random weights
          </label>
        </div>
      </details>
    </>
  );
}

/** An error as a whole sentence, so that another can follow it. */
const ended = (sentence: string) => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`);

/** What the user can do if the model cannot run. */
function Instead() {
  return (
    <>
      {' '}
      Without a run, you can save the outputs of its norms with your own code and measure them here or with{' '}
      <code>gammascope measure</code>. If you opened the weights alone, open them together with their <code>config.json</code>.
    </>
  );
}

function RunningNow() {
  const now = running.value;
  // Once the run has stopped, `Stopped` shows how to go on.
  if (!now || (now.stopping && stopped.value)) return null;
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
        stopping={now.stopping}
        onStop={stopRunning}
      />
      {plan && (
        <p class="muted small">
          {now.twin && 'Now with random weights. '}
          {count(now.measured)} of the {count(now.shown)} norms and streams so far are measured.{' '}
          {now.losses > 0 && `The kind is judged by the loss of ${count(now.losses)} tokens so far. `}
          {now.moved > 0 && `${count(now.moved)} of ${count(plan.moves)} moved readers are tried. `}
          <Plan {...now} plan={plan} />
        </p>
      )}
    </>
  );
}

/** A message as a sentence among others. */
const sentence = (message: string) => message.charAt(0).toUpperCase() + message.slice(1);

/** The plan of a run, in a few sentences. */
function Plan(planned: Planned) {
  const { plan, workers, twice } = planned;
  const where = (device: string) => (device === 'cpu' ? 'the CPU' : device);
  return (
    <>
      <strong>About {durations(secondsOf(planned))} in all</strong>
      {twice && ', the same with random weights included'}. The run sends {sequencesOf(plan)} of {plan.input} through{' '}
      {plan.left_out > 0 ? `the first ${count(plan.blocks)} of ${count(plan.blocks + plan.left_out)} blocks` : counted(plan.blocks, 'block')} of{' '}
      <code>{plan.family}</code> and measures {counted(plan.sites, 'norm')}. It reads {bytes(plan.bytes)}, takes {parameters(plan.operations)}{' '}
      operations and needs {bytes(plan.memory)} of memory
      {plan.parts > 1 && ` in ${count(plan.parts)} parts, with ${bytes(plan.scratch)} on the disk`}. It uses {where(plan.device)} for{' '}
      {durations([plan.least_pass_seconds, plan.pass_seconds])}, while{' '}
      {counted(workers, 'worker')} {workers === 1 ? 'measures' : 'measure'} for {duration(plan.measuring_seconds / workers)}
      {plan.moves > 0 && `. The run makes ${count(plan.moves)} short passes with a reader moved`}
      {plan.losses && `. For the loss, it makes passes with the other kind of norm, on ${count(plan.loss_tokens)} tokens at most`}.
      {plan.warnings.map(({ code, message }) => (
        <span key={code}>
          {' '}
          <Prose>{sentence(message)}</Prose>.
        </span>
      ))}
    </>
  );
}

/** The least and the most seconds, as one if they read the same. */
function durations(seconds: [number, number]): string {
  const [least, most] = seconds.map(duration);
  return least === most ? String(least) : `${least} to ${most}`;
}

function Stopped() {
  const now = stopped.value;
  // A stopped run says so while its measurements go into the report.
  const finishing = running.value?.stopping ?? false;
  if (!now || (running.value && !finishing)) return null;
  return (
    <div class={now.sentence === null ? 'notice' : 'notice failure'} role="alert">
      <p class="line">
        <strong>
          Stopped after {count(now.blocks)} of {counted(now.total, 'block')}.
        </strong>{' '}
        {now.sentence !== null && <Prose>{now.sentence.replace(/\.?$/, '.')}</Prose>}{' '}
        {finishing ? 'The measurements so far go into the report…' : 'The measurements so far are kept.'}
      </p>
      <button type="button" class="button strong" disabled={finishing} onClick={goOn}>
        Go on
      </button>
    </div>
  );
}
