/** The card that opens another checkpoint to compare, and the section with what changed. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { fileName, saveText } from '../download';
import { KINDS, ROLES, count, counted, kernelForm, maybe, number } from '../format';
import type { ComparedCheckpoint, Comparison, SiteComparison, UnpairedSite } from '../report';
import { hub } from '../state/address';
import { type Opened, pointAt } from '../state/opened';
import { type Beside, compare, comparison, showCompared } from '../together';
import { AddressInput } from './address-input';
import { Facts, type Fact } from './facts';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Name } from './name';
import { Pick } from './pick';
import { Prose } from './prose';
import { type Chips, type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';
import { WorkNow } from './work';

export function Compare({ opened }: { opened: Opened }) {
  return (
    <section class="card" id="compare" aria-labelledby="compare-heading">
      <Heading of="compare" as="h3">Compare with another checkpoint</Heading>
      <p>Compare with a fine-tune, another step of the run, or a conversion, norm by norm.</p>
      <div class="buttons beside">
        <Pick
          name="compared"
          files="Compare with files…"
          folder="Compare with a folder…"
          onPicked={(entries) => showCompared(() => entries)}
        />
      </div>
      <AddressToo />
      <p class="muted small">Or drop it on the right half of the page.</p>
      <WorkNow work="compare" opened={opened} />
    </section>
  );
}

/** The section with what changed. */
export function CompareResult({ opened }: { opened: Opened }) {
  const shown = comparison.value;
  if (shown?.of !== opened.id) return null;
  return (
    <section id="compare-result" aria-label="Comparison">
      <Changes opened={opened} shown={shown} />
    </section>
  );
}

/** Opens the other checkpoint from an address. */
function AddressToo() {
  const [address, setAddress] = useState('');
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    showCompared(() => [{ address, ...(hub.value ? { hub: hub.value } : {}) }]);
  };
  return (
    <form class="beside-address" onSubmit={submit}>
      <AddressInput
        name="compared-address"
        label="Address of the other checkpoint: a URL, or org/model"
        placeholder="or a URL, or org/model"
        value={address}
        onValue={setAddress}
      />
      <button type="submit" class="button">
        Compare
      </button>
    </form>
  );
}

const arrow = (before: string, after: string): string => (before === after ? before : `${before} → ${after}`);

/** An angle in the format of the terminal. */
function degrees(angle: number): string {
  const value = (angle * 180) / Math.PI;
  return value === 0 ? '0°' : `${value < 0.01 ? value.toExponential(1) : value.toFixed(2)}°`;
}

const signed = (sign: string, channels: readonly number[]): string =>
  channels.length === 0 ? '' : ` ${sign}${count(channels.length)} zero`;

const COLUMNS: readonly DataColumn<SiteComparison>[] = [
  { id: 'rank', label: 'Rank', term: 'change_rank', numeric: true, value: (_, index) => index + 1 },
  {
    id: 'name',
    label: 'Site',
    term: 'site',
    names: true,
    value: ({ name }) => name,
    cell: ({ name, name_after }) => (
      <>
        <Name>{name}</Name>
        {name !== name_after && (
          <span class="name-after">
            {' ↔ '}
            <Name>{name_after}</Name>
          </span>
        )}
      </>
    ),
  },
  {
    id: 'kind',
    label: 'Kind',
    term: 'kind',
    value: ({ kind, kind_after }) => arrow(KINDS[kind], KINDS[kind_after]),
    cell: ({ kind, kind_after }) => (
      <>
        <span class={`dot ${kind_after}`} aria-hidden="true" />
        {arrow(KINDS[kind], KINDS[kind_after])}
      </>
    ),
  },
  {
    id: 'angle',
    label: 'Angle',
    term: 'angle',
    numeric: true,
    shown: true,
    value: ({ angle }) => angle,
    format: degrees,
  },
  {
    id: 'relative_change',
    label: 'Change of γ',
    term: 'relative_change',
    numeric: true,
    shown: true,
    value: ({ relative_change }) => relative_change,
  },
  {
    id: 'kernel',
    label: 'Kernel',
    term: 'kernel',
    value: (site) => kernel(site),
  },
  channels('near_dead_gained', 'Near-dead +'),
  channels('near_dead_lost', 'Near-dead −'),
];

function kernel({ form, form_after, zeros_gained, zeros_lost }: SiteComparison): string {
  const word = (of: SiteComparison['form']) => (of === 'coordinates' ? 'coordinates' : kernelForm(of, 0));
  return arrow(word(form), word(form_after)) + signed('+', zeros_gained) + signed('−', zeros_lost);
}

function channels(id: 'near_dead_gained' | 'near_dead_lost', label: string): DataColumn<SiteComparison> {
  return { id, label, term: id, numeric: true, value: (site) => site[id].length };
}

const DEPTHS: readonly DataColumn<SiteComparison>[] = [
  depth('depth_scale_free', 'depth^'),
  depth('depth_scale_free_after', 'depth^ after'),
];

function depth(id: 'depth_scale_free' | 'depth_scale_free_after', label: string): DataColumn<SiteComparison> {
  return { id, label, term: 'depth_scale_free', numeric: true, value: (site) => site[id] };
}

const MATCHES: Record<SiteComparison['matched_by'], string> = {
  name: 'same name',
  suffix: 'same end of the name',
  place: 'same place',
};

const CHIPS: readonly Chips<SiteComparison>[] = [
  { label: 'match', of: ({ matched_by }) => matched_by, names: MATCHES },
  { label: 'role', of: ({ role }) => role, names: ROLES },
];

function Changes({ opened, shown }: { opened: Opened; shown: Beside<Comparison> }) {
  const { result, json, base } = shown;
  const heading = useRef<HTMLHeadingElement>(null);
  const drawer = useMemo(() => opened.inspector.of(json), [opened.inspector, json]);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: 'start' });
  }, [json]);
  const measured = result.sites.some((site) => site.depth !== null || site.depth_after !== null);
  const pick = (row: (number | string | null)[]) => typeof row[0] === 'string' && pointAt(row[0]);
  const name = `${result.before.checkpoint.name}-to-${result.after.checkpoint.name}`;
  const figure = (kind: 'kernel_angles' | 'scale_changes') => (
    <FigureView inspector={drawer} report={result} kind={kind} checkpoint={name} onPick={pick} />
  );
  const warnings = result.warnings.filter(({ where }) => where.startsWith('after: '));
  return (
    <div class="beside-result">
      <h2 id="compared" tabIndex={-1} ref={heading}>
        {result.sentence}
      </h2>
      <p class="lead">
        The page matches norms by name, by the end of the name, or by place, and compares their effective scales, from the open
        checkpoint to the other one.
      </p>
      <dl class="sides">
        <SideOf label="from" {...result.before} />
        <SideOf label="to" {...result.after} />
      </dl>
      <div class="buttons small">
        <button
          type="button"
          class="button quiet"
          onClick={() => saveText(JSON.stringify(result, null, 2), 'application/json', fileName([name, 'comparison'], 'json'))}
        >
          Comparison as JSON
        </button>
        {base !== opened.report && (
          <button type="button" class="button" onClick={() => void compare(() => shown.entries).catch(() => undefined)}>
            Compare again with the report as it is now
          </button>
        )}
      </div>
      <div class="figures">
        {result.sites.some(({ angle }) => angle !== null) && figure('kernel_angles')}
        {result.sites.some(({ relative_change }) => relative_change !== null) && figure('scale_changes')}
      </div>
      <DataTable
        label="Compared sites"
        noun="site"
        rows={result.sites}
        columns={measured ? [...COLUMNS, ...DEPTHS] : COLUMNS}
        text={({ name, name_after, kind, kind_after }) => `${name} ${name_after} ${KINDS[kind]} ${KINDS[kind_after]}`}
        chips={CHIPS}
        group={({ name }) => likeNames(name)}
        detail={(site) => <SiteChanges {...site} />}
        file={`${result.before.checkpoint.name}-compared`}
      />
      <Unpaired which={`only in ${result.before.checkpoint.name}`} sites={result.only_before} />
      <Unpaired which={`only in ${result.after.checkpoint.name}`} sites={result.only_after} />
      {warnings.length > 0 && (
        <details class="more">
          <summary>{counted(warnings.length, 'warning')} of the other checkpoint</summary>
          <ul class="prose">
            {warnings.map(({ code, message, where }, index) => (
              <li key={index}>
                <code>{code}</code> <Prose>{message}</Prose> <span class="muted mono">{where.replace('after: ', '')}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function SideOf({ label, checkpoint, family, sentence }: { label: string } & ComparedCheckpoint) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <strong class="mono">
          <Name>{checkpoint.name}</Name>
        </strong>{' '}
        <span class="muted">
          {[checkpoint.format, family].filter(Boolean).join(', ')}: {sentence}
        </span>
      </dd>
    </div>
  );
}

/** One site: which channels were gained and lost, and how it was matched. */
function SiteChanges(site: SiteComparison) {
  const listed = (indices: readonly number[]) => indices.slice(0, 40).join(', ') + (indices.length > 40 ? ', …' : '') || 'none';
  const facts: Fact[] = [
    { label: 'Matched by', value: MATCHES[site.matched_by] },
    { label: 'Role', value: ROLES[site.role] },
    { term: 'width', value: count(site.width) },
    { label: 'Zero scales gained', value: listed(site.zeros_gained) },
    { label: 'Zero scales lost', value: listed(site.zeros_lost) },
    { label: 'Near-dead gained', value: listed(site.near_dead_gained) },
    { label: 'Near-dead lost', value: listed(site.near_dead_lost) },
    ...(site.angle === null ? [] : [{ term: 'angle' as const, value: `${number(site.angle)} rad` }]),
    ...depths(site),
  ];
  return (
    <>
      <Facts facts={facts} />
      <p>
        <button type="button" class="link" onClick={() => pointAt(site.name)}>
          Its evidence, scales and readers in the open checkpoint
        </button>
      </p>
    </>
  );
}

function depths({ depth, depth_after, depth_scale_free, depth_scale_free_after }: SiteComparison): Fact[] {
  const both = (before: number | null, after: number | null) => `${maybe(before)} → ${maybe(after)}`;
  if (depth === null && depth_after === null) return [];
  return [
    { term: 'depth', value: both(depth, depth_after) },
    { term: 'depth_scale_free', value: both(depth_scale_free, depth_scale_free_after) },
  ];
}

const UNPAIRED: readonly DataColumn<UnpairedSite>[] = [
  { id: 'name', label: 'Site', term: 'site', names: true, value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  { id: 'kind', label: 'Kind', term: 'kind', value: ({ kind }) => KINDS[kind] },
  { id: 'width', label: 'd', term: 'width', numeric: true, value: ({ width }) => width },
  { id: 'why', label: 'Why', value: ({ why }) => why, text: 'prose' },
];

function Unpaired({ which, sites }: { which: string; sites: UnpairedSite[] }) {
  if (sites.length === 0) return null;
  return (
    <details class="more">
      <summary>
        {counted(sites.length, 'site')} {which}
      </summary>
      <DataTable label={`Sites ${which}`} noun="site" rows={sites} columns={UNPAIRED} text={({ name }) => name} />
    </details>
  );
}
