/** The result of a run of the model: its norms, its stream, its loss, and the effect of moving readers. */
import { count, counted, maybe, number } from '../format';
import type { Claim, KindByLoss, Preservation, ResidualBlock, RunPlan } from '../report';
import type { Opened } from '../state/opened';
import { Falls } from './falls';
import { FigureView } from './figure';
import { Heading } from './heading';
import { MeasuredSites } from './measured';
import { sequencesOf } from './sequences';

const KINDS: Record<RunPlan['told'], string> = {
  layernorm: 'LayerNorms',
  rmsnorm: 'RMSNorms',
  other: 'another norm',
  unknown: 'what the configuration says',
};

export function RunResult({ opened }: { opened: Opened }) {
  const { inspector, report } = opened;
  const { verification } = report;
  if (!verification?.pass) return null;
  const { pass } = verification;
  const { residual, falls, loss } = verification;
  return (
    <section id="run-result" aria-labelledby="run-result-heading">
      <Heading of="run-result">What the run found</Heading>
      <p class="lead" id="verified">
        {sequencesOf(pass)}, run as <code>{pass.family}</code> in f32.
        {pass.left_out > 0 && ` Only its first blocks: the ${counted(pass.left_out, 'block')} after them were left out.`}
        {pass.loss !== null && ` Loss ${number(pass.loss)} nats a token.`} The run treated the norms as {KINDS[pass.told]}, so a
        kernel below is no evidence of their kind.
      </p>
      {loss && <ByLoss {...loss} />}
      {verification.preservation.length > 0 && <Preserved opened={opened} rows={verification.preservation} />}
      <h3>The norms</h3>
      <MeasuredSites opened={opened} verification={verification} />
      {residual.length > 0 && (
        <>
          <h3>The residual stream, block by block</h3>
          <p>
            Its least singular value is {profiles(residual).map(profile).join(', ')}, at n/d{' '}
            {maybe(verification.tokens / (report.model.width ?? verification.tokens))}.{' '}
            {falls.length === 0
              ? 'It never falls by more than a hundredth.'
              : `It falls after ${counted(falls.length, 'block')}, ${count(falls.filter((fall) => fall.on_both_halves).length)} of them on both halves of the tokens.`}
          </p>
          <FigureView inspector={inspector} report={report} kind="residual" checkpoint={report.checkpoint.name} />
          {falls.length > 0 && <Falls falls={falls} stacks={pass.stacks.map(({ stack }) => stack)} />}
        </>
      )}
      {verification.random_init && <BesideRandom opened={opened} seed={verification.random_init.seed} />}
      {verification.claims.length > 0 && <BesidePaper claims={verification.claims} />}
    </section>
  );
}

/** The first and the last block of each stack. */
function profiles(residual: readonly ResidualBlock[]): [ResidualBlock, ResidualBlock][] {
  const ends = new Map<string | null, [ResidualBlock, ResidualBlock]>();
  for (const block of residual) ends.set(block.stack, [ends.get(block.stack)?.[0] ?? block, block]);
  return [...ends.values()];
}

function profile([first, last]: [ResidualBlock, ResidualBlock]): string {
  const of = first.stack === null ? '' : ` of the ${first.stack}`;
  return `${maybe(first.sigma_min)} after block ${first.block} and ${maybe(last.sigma_min)} after block ${last.block}${of}`;
}

/** The trained model and the same architecture with random weights. */
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

/** The claims of the paper, and whether this model agrees. */
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

/** The effect of moving readers on the function. */
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
          ? `Along the kernel, with the bias moved, the function stays at its rounding for every t at ${count(kept)} of ${counted(dead.length, 'norm')}. `
          : 'No dead direction is predicted here. '}
        Along other directions it changes in {count(changed)} of {counted(others.length, 'case')}: a divergence grows as t², a change of
        hidden states as t.
      </p>
      <FigureView inspector={inspector} report={report} kind="preservation" checkpoint={report.checkpoint.name} />
    </>
  );
}

/** The kind of the norms by the loss with each kind. It is the only evidence of the kind from a run that does not assume the kind. */
function ByLoss({ layernorm, rmsnorm, difference, standard_error, tokens, kind }: KindByLoss) {
  const says = {
    layernorm: 'the norms are LayerNorms',
    rmsnorm: 'the norms are RMSNorms',
    other: 'it says nothing',
    unknown: 'that is under five standard errors, so it says nothing',
  }[kind];
  return (
    <p id="by-loss">
      Predicting {count(tokens)} of these tokens costs {number(layernorm)} nats with the norms as LayerNorms and {number(rmsnorm)} as
      RMSNorms, a difference of {difference.toFixed(4)} ± {standard_error.toFixed(4)}: <strong>{says}</strong>. This is evidence of
      the kind. The kernels of a run are not.
    </p>
  );
}
