/**
 * A diagram of one block: each norm, the maps that read it, the maps that write the residual stream, and how far the dead direction of
 * each norm reaches. The norms are in the order of the network. Between them, it shows only what was recognised.
 */
import { useState } from 'preact/hooks';
import { KINDS, USES, counted, dead } from '../format';
import type { NormReport, Report, WriterReport } from '../report';

/** A block: its stack, and its index there. */
type Block = { part: string | null; block: number };

/** Sizes in the units of the drawing: pixels, unless it is scaled. */
const ROW = 30;
const GAP = 16;
const TEXT = 7;
const STREAM_X = 18;
const NORM = { x: 48, width: 240 };
const READER = { x: 400, width: 250 };
const WRITER = { x: 762, width: 226 };
const END_X = WRITER.x + WRITER.width + 36;
const WIDTH = END_X + 12;
const TOP = 34;

/** If a norm has more readers, such as experts, one box counts the rest. */
const MOST_READERS = 6;

export const hasBlocks = ({ norms }: Report): boolean => norms.some(({ block, readers }) => block !== null && readers.length > 0);

export function BlockDiagram({ report }: { report: Report }) {
  const blocks = blocksOf(report.norms);
  const [at, setAt] = useState(0);
  const chosen = blocks[at] ?? blocks[0];
  if (!chosen) return null;
  const steps = stepsOf(report, chosen);
  const several = new Set(blocks.map(({ part }) => part)).size > 1;
  const nameOf = ({ part, block }: Block) => (several && part ? `${part} ${block}` : `block ${block}`);
  return (
    <div class="block-diagram">
      <label>
        Block{' '}
        <select value={at} onChange={(event) => setAt(Number(event.currentTarget.value))}>
          {blocks.map((block, index) => (
            <option key={nameOf(block)} value={index}>
              {nameOf(block)}
            </option>
          ))}
        </select>
      </label>
      <div class="scroll" role="region" aria-label={`Diagram of ${nameOf(chosen)}`} tabIndex={0}>
        <Drawing steps={steps} label={nameOf(chosen)} />
      </div>
      <p class="muted">
        {steps.some(({ norm }) => isDead(norm))
          ? 'The dashed line is what is dead after a norm: it reaches every reader, and no reader can see it.'
          : 'Nothing is dead after the norms of this block: the readers see every direction.'}{' '}
        {steps.every(({ writers }) => writers.length === 0) &&
          (report.checkpoint.weight_bytes_read > 0
            ? 'No writer of this block was sampled, or a norm comes between it and the stream.'
            : 'Writers are drawn once the weights are sampled.')}
      </p>
      <details class="more">
        <summary>The same in words</summary>
        <ol>
          {steps.map(({ norm, readers, writers }) => (
            <li key={norm.name}>{inWords(norm, readers.length, writers)}</li>
          ))}
        </ol>
      </details>
    </div>
  );
}

/** A norm of the block, its readers, and the writers of their part. */
type Step = { norm: NormReport; readers: NormReport['readers']; writers: WriterReport[] };

function blocksOf(norms: readonly NormReport[]): Block[] {
  const blocks = new Map<string, Block>();
  for (const { block, part } of norms) if (block !== null) blocks.set(`${part} ${block}`, { part, block });
  return [...blocks.values()];
}

/** Where a norm is, if no linear map reads it. */
const WITHOUT_READERS: Partial<Record<NormReport['role'], string>> = {
  query_key: 'It acts on queries or keys, inside attention.',
};

/** The part of each reader: attention or feed-forward. The writers of that part come after it. */
const PART_OF_USE: Partial<Record<NormReport['readers'][number]['use'], WriterReport['part']>> = {
  query: 'attention',
  key: 'attention',
  value: 'attention',
  fused_attention: 'attention',
  feed_forward: 'feed_forward',
  expert: 'feed_forward',
};

function stepsOf({ norms, writers }: Report, { part, block }: Block): Step[] {
  const prefix = `${part}.${block}.`;
  const inside = ({ name }: { name: string }) => part !== null && name.startsWith(prefix);
  // In a post-norm model, the first maps of a block read the last norm of the block before.
  const own = norms.filter((norm) => (norm.block === block && norm.part === part) || norm.readers.some(inside));
  const written = writers.filter((writer) => writer.part !== 'embedding' && writer.block === block && (part === null || writer.stack === part));
  return own.map((norm) => {
    const { readers } = norm;
    const parts = new Set(readers.filter((reader) => part === null || inside(reader)).map(({ use }) => PART_OF_USE[use]));
    return { norm, readers, writers: written.filter((writer) => parts.has(writer.part)) };
  });
}

const isDead = ({ kernel }: NormReport) => kernel.form === 'inverse_scale' || kernel.form === 'coordinates';

const free = (reader: NormReport['readers'][number]) => reader.dead.outright + reader.dead.with_bias_shift;

function inWords(norm: NormReport, readers: number, writers: readonly WriterReport[]): string {
  const told = `${norm.name}: ${KINDS[norm.kind]}, dead: ${dead(norm.kernel)}.`;
  const read = readers === 0 ? ' No recognised map reads it.' : ` ${counted(readers, 'map')} read it: ${norm.readers.map(({ name }) => name).join(', ')}.`;
  const write = writers.length === 0 ? '' : ` Their part writes the stream through ${writers.map(({ name }) => name).join(', ')}.`;
  return told + read + write;
}

function Drawing({ steps, label }: { steps: readonly Step[]; label: string }) {
  let y = TOP;
  const placed = steps.map((step) => {
    const shown = Math.min(step.readers.length, MOST_READERS) + Number(step.readers.length > MOST_READERS);
    const height = Math.max(2, shown, step.writers.length) * (ROW + 8) - 8;
    const at = y;
    y += height + GAP;
    return { ...step, y: at, height };
  });
  return (
    <svg
      class="block"
      viewBox={`0 0 ${WIDTH} ${y + 8}`}
      width={WIDTH}
      height={y + 8}
      role="img"
      aria-label={`${label}: ${counted(steps.length, 'norm')} and the maps around them. The same is below in words.`}
    >
      <text x={NORM.x} y={16} class="head">
        norm
      </text>
      <text x={READER.x} y={16} class="head">
        readers
      </text>
      <text x={WRITER.x} y={16} class="head">
        writers of the stream
      </text>
      <line x1={STREAM_X} x2={STREAM_X} y1={4} y2={y + 2} class="stream" />
      <line x1={END_X} x2={END_X} y1={4} y2={y + 2} class="stream" />
      <text x={-y / 2} y={12} transform="rotate(-90)" class="note" text-anchor="middle">
        residual stream
      </text>
      {placed.map((step) => (
        <DrawnStep key={step.norm.name} {...step} />
      ))}
    </svg>
  );
}

function DrawnStep({ norm, readers, writers, y, height }: Step & { y: number; height: number }) {
  const middle = y + height / 2;
  const right = NORM.x + NORM.width;
  const shown = readers.slice(0, MOST_READERS);
  const more = readers.length - shown.length;
  const boxes = [
    ...shown.map((reader) => ({ name: reader.name, note: `${USES[reader.use]}${isDead(norm) ? `, ${counted(free(reader), 'free direction')}` : ''}` })),
    ...(more > 0 ? [{ name: `and ${counted(more, 'more map')}`, note: '' }] : []),
  ];
  const placeOf = (index: number, of: number) => middle + (index - (of - 1) / 2) * (ROW + 8);
  return (
    <g>
      {readers.length > 0 ? (
        <path d={`M${STREAM_X} ${middle}H${NORM.x}`} class="flow" />
      ) : (
        <text x={READER.x} y={middle + 4} class="note">
          {WITHOUT_READERS[norm.role] ?? 'No recognised map reads it.'}
        </text>
      )}
      <Box x={NORM.x} y={middle} width={NORM.width} height={46} name={norm.name} note={`${KINDS[norm.kind]}, dead: ${dead(norm.kernel)}`} kind={norm.kind} />
      {boxes.map(({ name, note }, index) => {
        const at = placeOf(index, boxes.length);
        const bend = right + 26;
        const end = READER.x;
        return (
          <g key={name}>
            <path d={`M${right} ${middle - 5}H${bend}V${at - 5}H${end}`} class="flow" />
            {isDead(norm) && (
              <>
                <path d={`M${right} ${middle + 6}H${bend + 10}V${at + 6}H${end - 12}`} class="dead" />
                <path d={`M${end - 11} ${at + 2}l8 8m0 -8l-8 8`} class="dead end" />
              </>
            )}
            <Box x={READER.x} y={at} width={READER.width} height={ROW} name={name} note={note} />
          </g>
        );
      })}
      {writers.map((writer, index) => (
        <g key={writer.name}>
          <path d={`M${READER.x + READER.width} ${middle}H${READER.x + READER.width + 40}V${placeOf(index, writers.length)}H${WRITER.x}`} class="flow" />
          <text x={(READER.x + READER.width + WRITER.x) / 2} y={middle - 5} class="note" text-anchor="middle">
            {writer.part === 'attention' ? 'attention' : writer.part === 'feed_forward' ? 'feed-forward' : ''}
          </text>
          <path d={`M${WRITER.x + WRITER.width} ${placeOf(index, writers.length)}H${END_X}`} class="flow" />
          <Box x={WRITER.x} y={placeOf(index, writers.length)} width={WRITER.width} height={ROW} name={writer.name} note={`energy ${writer.energy.toPrecision(2)}`} />
        </g>
      ))}
    </g>
  );
}

type BoxProps = { x: number; y: number; width: number; height: number; name: string; note: string; kind?: string };

/** A box, vertically centred on `y`, with a name and a note. Of a long name it shows the end, because the ends differ. */
function Box({ x, y, width, height, name, note, kind = '' }: BoxProps) {
  const fits = Math.floor((width - 16) / TEXT);
  const end = name.length > fits ? `…${name.slice(1 - fits)}` : name;
  return (
    <g>
      <title>{name}</title>
      <rect x={x} y={y - height / 2} width={width} height={height} rx={5} class={`box ${kind}`} />
      <text x={x + 8} y={y - 2} class="name">
        {end}
      </text>
      <text x={x + 8} y={y + 11} class="note">
        {note}
      </text>
    </g>
  );
}
