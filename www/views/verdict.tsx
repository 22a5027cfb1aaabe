/** The verdict in one sentence, how sure it is and why, and how much was read. */
import { VERDICTS, bytes, confidenceWord, count, counted, parameters, probability } from '../format';
import { fileName, saveText } from '../download';
import type { Opened } from '../state/opened';
import type { PartSummary } from '../report';
import { Facts, type Fact } from './facts';
import { Findings } from './findings';
import { Name } from './name';
import { Prose } from './prose';
import { Word } from './term';

export function Verdict({ opened: { report } }: { opened: Opened }) {
  const { model, checkpoint, warnings } = report;
  const facts: Fact[] = [
    { term: 'parameters', value: parameters(checkpoint.parameters), exact: count(checkpoint.parameters) },
    { label: 'Tensors', value: count(checkpoint.tensors) },
    { term: 'shards', value: count(checkpoint.shards) },
    ...(model.layers === null ? [] : [{ label: 'Blocks', value: count(model.layers) }]),
    ...(model.width === null ? [] : [{ term: 'width' as const, value: count(model.width) }]),
    { label: 'Norm sites', value: count(report.norms.length) },
    ...(checkpoint.weight_bytes_read > 0
      ? [{ term: 'weights_read' as const, value: bytes(checkpoint.weight_bytes_read) }]
      : []),
    {
      term: 'bytes_read',
      value: `${bytes(checkpoint.bytes_read)} of ${bytes(checkpoint.bytes)}`,
      exact: `${count(checkpoint.bytes_read)} of ${count(checkpoint.bytes)} bytes: headers ${count(checkpoint.header_bytes)}, norm tensors ${count(checkpoint.norm_bytes)}`,
    },
  ];
  if (checkpoint.remote) {
    const { requests, bytes: transferred, address } = checkpoint.remote;
    facts.push({ label: 'Transferred', value: `${bytes(transferred)} in ${counted(requests, 'request')}`, exact: `from ${address}` });
  }
  return (
    <section class="verdict" id="verdict" aria-labelledby="sentence">
      <p class="kicker">
        <span class="name">{checkpoint.name}</span>
        {model.family && <span class="muted"> {model.family}</span>}
        <span class="muted"> {checkpoint.format}</span>
      </p>
      <h1 id="sentence" tabIndex={-1}>
        {model.sentence.replaceAll(' %', '\u00a0%')}
      </h1>
      <div class="with-facts">
        <div>
          <p class="confidence" data-kind={model.verdict}>
            <span class={`badge ${model.verdict}`}>{VERDICTS[model.verdict]}</span>
            <span>
              <strong>{confidenceWord(model.confidence)}</strong>
              {model.confidence > 0 && (
                <>
                  , <Word term="confidence">confidence</Word> {probability(model.confidence)}
                </>
              )}
            </span>
          </p>
          {model.reasons.length > 0 && (
            <details class="why">
              <summary>Why: {counted(model.reasons.length, 'kind')} of evidence</summary>
              <ul class="reasons">
                {model.reasons.map((reason) => (
                  <li key={reason}>
                    <Prose>{reason}</Prose>
                  </li>
                ))}
              </ul>
            </details>
          )}
          <Parts parts={model.parts} />
          <Findings findings={report.findings} />
        </div>
        <div class="card">
          <h2 class="sr-only">Checkpoint</h2>
          <Facts facts={facts} />
          {checkpoint.missing_shards.length > 0 && (
            <details class="missing">
              <summary>{counted(checkpoint.missing_shards.length, 'shard')} missing</summary>
              <ul>
                {checkpoint.missing_shards.slice(0, 100).map((shard) => (
                  <li key={shard} class="mono">
                    {shard}
                  </li>
                ))}
              </ul>
            </details>
          )}
          <div class="buttons small">
            {warnings.length > 0 && (
              <a class="button caution" href="#warnings">
                {counted(warnings.length, 'warning')}
              </a>
            )}
            <button
              type="button"
              class="button quiet"
              onClick={() => {
                const text = JSON.stringify(report, null, 2);
                saveText(text, 'application/json', fileName([checkpoint.name, 'gammascope'], 'json'));
              }}
            >
              Report as JSON
            </button>
          </div>
        </div>
      </div>
    </section>
  );
}

/** The verdict on each part of a model with several parts. */
function Parts({ parts }: { parts: readonly PartSummary[] }) {
  if (parts.length === 0) return null;
  return (
    <dl class="parts" aria-label="Parts of the model">
      {parts.map(({ name, verdict, sentence }) => (
        <div key={name}>
          <dt>
            <span class={`dot ${verdict}`} aria-hidden="true" />
            {name === '' ? 'elsewhere' : <Name>{name}</Name>}
          </dt>
          <dd>{sentence}</dd>
        </div>
      ))}
    </dl>
  );
}
