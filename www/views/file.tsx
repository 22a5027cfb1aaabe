/** Everything in the file: each tensor with its role for the norms, the configuration and metadata, and a diagram of one block. */
import '../styles/file.css';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { bytes, count, counted } from '../format';
import { parse } from '../protocol';
import type { Contents, Report } from '../report';
import { type Opened, pointAt } from '../state/opened';
import { BlockDiagram, hasBlocks } from './block-diagram';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Name } from './name';
import { type Chips, type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';
import { Documents } from './tree';

/** The values of longer vectors are not shown. */
const MOST_VALUES = 100_000;

const ROLES = { scale: 'scale', shift: 'shift', reader: 'reader', bias: 'bias of a reader', writer: 'writer', none: 'other' } as const;

type Role = keyof typeof ROLES;

const PHRASES: Record<Role, string> = {
  scale: 'the scale of',
  shift: 'the shift of',
  reader: 'a reader of',
  bias: 'the bias of a reader of',
  writer: 'a writer after',
  none: 'beside',
};

/** The role of a tensor for the norms, and the norm. */
type Use = { role: Role; site: string | null };

const NO_USE: Use = { role: 'none', site: null };

export function FileContents({ opened }: { opened: Opened }) {
  const { report } = opened;
  const { checkpoint } = report;
  // A report from a link has no list of tensors.
  if (report.shared) return null;
  return (
    <section id="file" aria-labelledby="file-heading">
      <Heading of="file">Everything in the file</Heading>
      <p class="lead">
        {counted(checkpoint.tensors, 'tensor')} in {counted(checkpoint.shards, 'file')}, {bytes(checkpoint.bytes)}. Look up a tensor
        and the norm that stores or feeds it, read a small one, or see what the configuration says.
      </p>
      <Part label="Tensors" opened={opened}>
        {(contents) => <Tensors opened={opened} contents={contents} />}
      </Part>
      <Part label="Configuration and metadata" opened={opened}>
        {(contents) => <Documents documents={contents.documents} />}
      </Part>
      {hasBlocks(report) && (
        <details class="more">
          <summary>One block as a diagram</summary>
          <BlockDiagram report={report} />
        </details>
      )}
    </section>
  );
}

type PartProps = { label: string; opened: Opened; children: (contents: Contents) => ComponentChildren };

/** A part of the section. It loads its contents when it is first opened. */
function Part({ label, opened: { inspector }, children }: PartProps) {
  const [open, setOpen] = useState(false);
  const [contents, setContents] = useState<Contents | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    if (!open || contents) return;
    const controller = new AbortController();
    inspector.ask('contents', [], controller.signal).then(
      (answer) => {
        setProblem(null);
        setContents(parse(answer));
      },
      (error: Error) => !controller.signal.aborted && setProblem(error.message),
    );
    return () => controller.abort();
  }, [open, inspector]);
  return (
    <details class="more" onToggle={(event) => event.target === event.currentTarget && setOpen(event.currentTarget.open)}>
      <summary>{label}</summary>
      {open && problem !== null && <p class="muted">Not read: {problem}</p>}
      {open && problem === null && !contents && <p class="muted">Reading the list…</p>}
      {contents && children(contents)}
    </details>
  );
}

function Tensors({ opened, contents }: { opened: Opened; contents: Contents }) {
  const { report, inspector } = opened;
  const uses = useMemo(() => usesOf(report), [report]);
  const rows = useMemo(() => contents.names.map((_, index) => index), [contents]);
  const useOf = (row: number) => uses.get(contents.names[row] ?? '') ?? NO_USE;
  const columns = useMemo(() => columnsOf(contents, useOf), [contents, uses]);
  const chips: readonly Chips<number>[] = [{ label: 'role', of: (row) => useOf(row).role, names: ROLES }];
  return (
    <DataTable
      label="Tensors"
      noun="tensor"
      rows={rows}
      columns={columns}
      text={(row) => `${contents.names[row]} ${contents.dtypes[contents.dtype[row] ?? 0]}`}
      chips={chips}
      group={(row) => likeNames(contents.names[row] ?? '')}
      grouped={false}
      file={report.checkpoint.name}
      detail={(row) => {
        const name = contents.names[row] ?? '';
        const { role, site } = useOf(row);
        return (
          <>
            <p>
              {counted(elements(contents, row), 'value')} of type {contents.dtypes[contents.dtype[row] ?? 0]},{' '}
              {counted(contents.bytes[row] ?? 0, 'byte')} from byte {count(contents.offset[row] ?? 0)} of{' '}
              <span class="mono">{contents.files[contents.file[row] ?? 0]}</span>.
              {site !== null && (
                <>
                  {' '}
                  It is {PHRASES[role]} the norm{' '}
                  <button type="button" class="link" onClick={() => pointAt(site)}>
                    <Name>{site}</Name>
                  </button>
                  .
                </>
              )}
            </p>
            {isVector(contents, row) ? (
              <FigureView inspector={inspector} report={contents} kind="tensor_values" site={name} checkpoint={report.checkpoint.name} />
            ) : (
              <p class="muted">Values are shown of vectors with at most {count(MOST_VALUES)} values.</p>
            )}
          </>
        );
      }}
    />
  );
}

function columnsOf(contents: Contents, useOf: (row: number) => Use): readonly DataColumn<number>[] {
  const shape = (row: number) => contents.shapes[contents.shape[row] ?? 0] ?? [];
  return [
    {
      id: 'name',
      label: 'Tensor',
      about: 'Its name in the file.',
      names: true,
      value: (row) => contents.names[row] ?? '',
      // The list is already in the order of the names.
      sortBy: (row) => row,
      cell: (row) => <Name>{contents.names[row] ?? ''}</Name>,
    },
    { id: 'dtype', label: 'Type', about: 'Its element type.', shown: true, value: (row) => contents.dtypes[contents.dtype[row] ?? 0] ?? '' },
    {
      id: 'shape',
      label: 'Shape',
      about: 'Its dimensions, outermost first. It sorts by the number of values.',
      shown: true,
      value: (row) => shape(row).map(count).join(' × ') || 'one value',
      sortBy: (row) => elements(contents, row),
    },
    {
      id: 'bytes',
      label: 'Bytes',
      about: 'What it takes in the file.',
      numeric: true,
      shown: true,
      value: (row) => contents.bytes[row] ?? null,
      format: bytes,
    },
    {
      id: 'role',
      label: 'Role',
      about: 'What it is to the norms: a scale or shift that one stores, a reader of one or its bias, or a writer of the residual stream.',
      shown: true,
      value: (row) => {
        const { role } = useOf(row);
        return role === 'none' ? null : ROLES[role];
      },
    },
    {
      id: 'site',
      label: 'Norm',
      about: 'The norm that stores it or feeds it.',
      text: 'name',
      value: (row) => useOf(row).site,
      cell: (row) => (
        <span class="mono">
          <Name>{useOf(row).site ?? ''}</Name>
        </span>
      ),
    },
    { id: 'values', label: 'Values', about: 'How many values it has.', numeric: true, value: (row) => elements(contents, row), format: count },
    { id: 'file', label: 'File', about: 'The file that it is in.', text: 'name', value: (row) => contents.files[contents.file[row] ?? 0] ?? '' },
    { id: 'offset', label: 'First byte', about: 'Where it begins in that file.', numeric: true, value: (row) => contents.offset[row] ?? null, format: count },
  ];
}

const elements = (contents: Contents, row: number): number =>
  (contents.shapes[contents.shape[row] ?? 0] ?? []).reduce((product, size) => product * size, 1);

/** Whether a tensor has at most one dimension longer than 1, and at most `MOST_VALUES` values. */
function isVector(contents: Contents, row: number): boolean {
  const long = (contents.shapes[contents.shape[row] ?? 0] ?? []).filter((size) => size > 1);
  return long.length < 2 && elements(contents, row) > 0 && elements(contents, row) <= MOST_VALUES;
}

/** The use of each tensor by name, from the report. A scale or shift of a norm takes precedence over a reader. */
function usesOf(report: Report): Map<string, Use> {
  const uses = new Map<string, Use>();
  for (const { name } of report.writers) uses.set(name, { role: 'writer', site: null });
  for (const { name: site, readers } of report.norms) {
    for (const { name, bias } of readers) {
      if (bias !== null) uses.set(bias, { role: 'bias', site });
      uses.set(name, { role: 'reader', site });
    }
  }
  for (const { name: site, scale, shift } of report.norms) {
    if (scale !== null) uses.set(scale, { role: 'scale', site });
    if (shift !== null) uses.set(shift, { role: 'shift', site });
  }
  return uses;
}
