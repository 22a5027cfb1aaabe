/** The result of a run of the model: the pass, its loss, and then what it shows, step by step in the order of the paper. */
import '../styles/story.css';
import { count, counted, maybe, number } from '../format';
import type { Claim, KindByLoss, Report, RunPlan, SiteVerification, Verification } from '../report';
import type { Opened } from '../state/opened';
import { Differences } from './differences';
import { Falls } from './falls';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Initial } from './initial';
import { MeasuredSites } from './measured';
import { Prose } from './prose';
import { sequencesOf } from './sequences';
import { Step } from './step';
import type { DataColumn } from './table';

const KINDS: Record<RunPlan['told'], string> = {
  layernorm: 'LayerNorms',
  rmsnorm: 'RMSNorms',
  other: 'another norm',
  unknown: 'what the configuration says',
};

export function RunResult({ opened }: { opened: Opened }) {
  const { report, entries } = opened;
  const { verification } = report;
  if (!verification?.pass) return null;
  const { pass, story, random_init, residual, falls, loss } = verification;
  const figure = (kind: 'random_init' | 'residual' | 'preservation') => (
    <FigureView inspector={opened.inspector} report={report} kind={kind} checkpoint={report.checkpoint.name} />
  );
  const drawn = entries.some((entry) => 'seed' in entry);
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
      <Step at={1} id="at-random" name="At random initialisation" finding={story.initial ?? withoutRandom(report, drawn)}>
        {random_init && <Initial random={random_init} norms={report.norms} />}
      </Step>
      <Step at={2} id="deepening" name="Trained against random" finding={story.deepening ?? 'The run measured no norm.'}>
        {verification.sites.some(hasKernel) && (
          <p>
            The depth of a kernel is the variance along its direction over the mean variance. At the initialisation γ = 1. A trained scale
            changes the depth by HM(γ²)/AM(γ²), the harmonic over the arithmetic mean of its squares, which needs no run.
          </p>
        )}
        {random_init && figure('random_init')}
        <MeasuredSites opened={opened} verification={verification} more={besideScale(report, verification)} />
      </Step>
      <Step at={3} id="stream" name="The residual stream" finding={story.stream ?? <Unmeasured report={report} />}>
        {residual.length > 0 && (
          <>
            <p>
              The least singular value σ_min says how much the stream varies, after each block, along the direction in which it varies least. n/d is{' '}
              {maybe(verification.tokens / (report.model.width ?? verification.tokens))}.
            </p>
            {figure('residual')}
            {falls.length > 0 && <Falls falls={falls} stacks={pass.stacks.map(({ stack }) => stack)} />}
          </>
        )}
      </Step>
      <Step
        at={4}
        id="preserved"
        name="The function along the kernels"
        finding={story.preservation ?? `No reader was moved.${tick(report, 'Also move readers along their kernels')}`}
      >
        {verification.preservation.length > 0 && (
          <>
            <p>
              The run changes weights that read a norm to W + t a vᵀ, and runs the model again. Where the function changes, a divergence grows as t², a
              change of hidden states as t.
            </p>
            {figure('preservation')}
          </>
        )}
      </Step>
      <Step at={5} id="differences" name="Where this differs from the paper" finding={differing(verification.claims)}>
        <Differences claims={verification.claims} />
      </Step>
    </section>
  );
}

/** Says why there is nothing about the initialisation, and how to get it. */
function withoutRandom(report: Report, drawn: boolean): string {
  if (report.verification?.random_init) return 'The norms of the model with random weights:';
  if (drawn) return 'The weights of this checkpoint are random, so the norms below are those at its initialisation.';
  return `The model was not run with random weights.${tick(report, 'Also run the same architecture with random weights')}`;
}

/** Says which box to tick. A report from a link has no boxes. */
function tick(report: Report, box: string): string {
  return report.shared ? '' : ` To see this, tick “${box}” in the options of the run, and run it again.`;
}

/** Says why the stream was not measured. */
function Unmeasured({ report }: { report: Report }) {
  const reasons = report.warnings.filter(({ code }) => code === 'residual_normalised' || code === 'residual_not_measured');
  return <Prose>{['The run did not measure the stream', ...reasons.map(({ message }) => message)].join(': ') + '.'}</Prose>;
}

function differing(claims: readonly Claim[]): string {
  const differ = claims.filter(({ agrees }) => !agrees).length;
  if (claims.length === 0) return 'The run tests none of the paper’s claims.';
  if (differ === 0) return 'This model agrees with the paper on every claim that it tests.';
  return `This model differs from ${count(differ)} of the ${counted(claims.length, 'claim')} of the paper that it tests.`;
}

const hasKernel = ({ verdict }: SiteVerification): boolean => verdict === 'mean_subtracting';

/** Columns that put the depth of each kernel beside the one at the initialisation, and beside what its scale predicts. */
function besideScale(report: Report, { random_init, sites }: Verification): readonly DataColumn<SiteVerification>[] {
  const initial = new Map(random_init?.sites.map((site) => [site.name, site]));
  const predicted = new Map(report.norms.map(({ name, kernel }) => [name, kernel.deepening]));
  if (!sites.some(hasKernel)) return [];
  const ratio: DataColumn<SiteVerification> = {
    id: 'ratio',
    label: 'Trained/random',
    about: 'The depth after training over the depth at the initialisation.',
    numeric: true,
    shown: true,
    value: ({ name }) => initial.get(name)?.depth_ratio ?? null,
  };
  const ofScale: DataColumn<SiteVerification> = {
    id: 'predicted',
    label: 'Predicted',
    about: 'HM(γ²)/AM(γ²): the same ratio, from the scale alone.',
    numeric: true,
    shown: true,
    value: ({ name }) => predicted.get(name) ?? null,
  };
  return random_init ? [ratio, ofScale] : [ofScale];
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
