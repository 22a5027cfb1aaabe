/** The card that opens an adapter of the open checkpoint, and the section with what each module wastes. */
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { fileName, saveText } from '../download';
import { METHODS, USES, count, counted } from '../format';
import type { AdapterModule, AdapterReport } from '../report';
import { type Opened, pointAt } from '../state/opened';
import { type Beside, adapter, showWeighed } from '../together';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Name } from './name';
import { Pick } from './pick';
import { Prose } from './prose';
import { type Chips, type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';
import { Word } from './term';
import { WorkNow } from './work';

export function Adapter({ opened }: { opened: Opened }) {
  return (
    <section class="card" id="adapter" aria-labelledby="adapter-heading">
      <Heading of="adapter" as="h3">See what an adapter wastes</Heading>
      <p>
        The part of an adapter that lies along a norm’s <Word term="kernel">kernel</Word> adds only a constant. See how large it is
        in each module.
      </p>
      <div class="buttons beside">
        <Pick name="adapter" files="Choose an adapter’s files…" folder="Choose its folder…" onPicked={showWeighed} />
      </div>
      <p class="muted small">
        Or drop it on the page: adapter_model.safetensors, adapters.safetensors or pytorch_lora_weights.safetensors.
      </p>
      <WorkNow work="adapter" opened={opened} />
    </section>
  );
}

/** What each module of the adapter wastes. */
export function AdapterResult({ opened }: { opened: Opened }) {
  const shown = adapter.value;
  if (shown?.of !== opened.id) return null;
  return (
    <section id="adapter-result" aria-label="Adapter">
      <Waste opened={opened} shown={shown} />
    </section>
  );
}

const ratio = ({ wasted, null: chance }: AdapterModule): number | null => (chance > 0 ? wasted / chance : null);

const deviations = ({ wasted, null: chance, null_deviation }: AdapterModule): number | null =>
  null_deviation > 0 ? (wasted - chance) / null_deviation : null;

const fixed = (digits: number) => (value: number): string => value.toFixed(digits);

const COLUMNS: readonly DataColumn<AdapterModule>[] = [
  { id: 'rank', label: 'Rank', term: 'waste_rank', numeric: true, value: (_, index) => index + 1 },
  { id: 'module', label: 'Module', names: true, value: ({ module }) => module, cell: ({ module }) => <Name>{module}</Name> },
  { id: 'use', label: 'Use', about: 'What the model does with it.', value: ({ use }) => USES[use] },
  { id: 'method', label: 'Method', term: 'adapter_method', value: ({ method }) => METHODS[method] },
  {
    id: 'site',
    label: 'Reads',
    term: 'site',
    value: ({ site }) => site,
    text: 'name',
    shown: true,
    cell: ({ site, own_scale }) => (
      <>
        <span class="mono">
          <Name>{site}</Name>
        </span>
        {own_scale && ' with the adapter’s scale'}
      </>
    ),
  },
  { id: 'r', label: 'r', term: 'lora_rank', numeric: true, value: ({ rank }) => rank },
  { id: 'd', label: 'd', term: 'width', numeric: true, value: ({ width }) => width },
  { id: 'wasted', label: 'Wasted', term: 'wasted', numeric: true, shown: true, value: ({ wasted }) => wasted },
  {
    id: 'chance',
    label: 'k/d',
    term: 'wasted_by_chance',
    numeric: true,
    value: (module) => module.null,
  },
  { id: 'ratio', label: 'Ratio', term: 'wasted_ratio', numeric: true, shown: true, value: ratio, format: fixed(2) },
  {
    id: 'deviations',
    label: 'Deviations',
    term: 'wasted_deviations',
    numeric: true,
    value: deviations,
    format: fixed(1),
  },
];

const CHIPS: readonly Chips<AdapterModule>[] = [{ label: 'use', of: ({ use }) => use, names: USES }];

function Waste({ opened, shown }: { opened: Opened; shown: Beside<AdapterReport> }) {
  const { result, json } = shown;
  const heading = useRef<HTMLHeadingElement>(null);
  const drawer = useMemo(() => opened.inspector.of(json), [opened.inspector, json]);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: 'start' });
  }, [json]);
  return (
    <div class="beside-result">
      <h2 id="weighed" tabIndex={-1} ref={heading}>
        {result.sentence}
      </h2>
      <p class="muted">
        <Name>{result.adapter}</Name> on <Name>{result.base}</Name>
      </p>
      {result.renamings.map(({ from, to, found }) => (
        <p key={from} class="muted">
          <span class="mono">
            <Name>{from}</Name>
          </span>{' '}
          of the adapter is{' '}
          <span class="mono">
            <Name>{to}</Name>
          </span>{' '}
          of the base ({count(found)} found this way).
        </p>
      ))}
      <div class="buttons small">
        <button
          type="button"
          class="button quiet"
          onClick={() =>
            saveText(JSON.stringify(result, null, 2), 'application/json', fileName([result.adapter, 'waste'], 'json'))
          }
        >
          Adapter report as JSON
        </button>
      </div>
      {result.modules.some(({ kernel_dimension }) => kernel_dimension > 0) && (
        <FigureView inspector={drawer} report={result} kind="adapter_waste" checkpoint={result.adapter} />
      )}
      {result.modules.length > 0 && (
        <DataTable
          label="Adapted modules"
          noun="module"
          rows={result.modules}
          columns={COLUMNS}
          text={({ module, site, use }) => `${module} ${site} ${USES[use]}`}
          chips={CHIPS}
          group={({ module }) => likeNames(module)}
          file={result.adapter}
          onChoose={({ site }) => pointAt(site)}
        />
      )}
      <Skipped skipped={result.skipped} />
      {result.warnings.map(({ code, message }, index) => (
        <p key={index} class="notice caution">
          <code>{code}</code> <Prose>{message}</Prose>
        </p>
      ))}
    </div>
  );
}

/** The modules that were left out, grouped by reason. */
function Skipped({ skipped }: { skipped: AdapterReport['skipped'] }) {
  const reasons = useMemo(() => {
    const found = new Map<string, string[]>();
    for (const { module, why } of skipped) found.set(why, [...(found.get(why) ?? []), module]);
    return [...found];
  }, [skipped]);
  if (reasons.length === 0) return null;
  return (
    <details class="more">
      <summary>{counted(skipped.length, 'module')} left out</summary>
      <ul class="prose">
        {reasons.map(([why, modules]) => (
          <li key={why}>
            <span class="mono">
              <Name>{modules[0] ?? ''}</Name>
            </span>
            {modules.length > 1 && ` and ${count(modules.length - 1)} more`}: <Prose>{why}</Prose>
          </li>
        ))}
      </ul>
    </details>
  );
}
