/** Where the least singular value of the stream falls in a block, and in which direction. */
import { count, counted } from '../format';
import type { FallPart, FallPlace, ResidualFall, StackName } from '../report';
import { type DataColumn, DataTable } from './table';

const PARTS: Record<FallPart, string> = { attention: 'attention', feed_forward: 'feed-forward', both: 'both' };

const COLUMNS: readonly DataColumn<ResidualFall>[] = [
  { id: 'ratio', label: 'Falls to', about: 'The least singular value after the block over the one before it.', numeric: true, shown: true, value: ({ ratio }) => ratio.value, format: factor },
  { id: 'block', label: 'After block', numeric: true, shown: true, value: ({ block }) => block },
  { id: 'stack', label: 'Stack', shown: true, value: ({ stack }) => stack },
  {
    id: 'halves',
    label: 'On the halves',
    numeric: true,
    value: ({ ratio }) => ratio.high,
    cell: ({ ratio }) => `${factor(ratio.low)} to ${factor(ratio.high)}`,
  },
  { id: 'part', label: 'Part', about: 'The part of the block that makes it fall.', shown: true, value: ({ place }) => (place ? PARTS[place.part] : null) },
  ratioOf('attention', 'Attention', ({ attention }) => attention),
  ratioOf('feed_forward', 'Feed-forward', ({ feed_forward }) => feed_forward),
  { ...numeric('gap', 'Gap λ₂/λ₁', ({ gap }) => gap), shown: false },
  numeric('same_direction', '|cos| before', ({ same_direction }) => same_direction),
  numeric('mean', '|cos| mean', ({ mean }) => mean),
  numeric('inverse_scale', '|cos| 1/γ', ({ inverse_scale }) => inverse_scale),
  numeric('near_dead', 'Near-dead', ({ near_dead }) => near_dead),
  numeric('attention_energy', 'Attention writes', ({ attention_energy }) => attention_energy),
  numeric('feed_forward_energy', 'Feed-forward writes', ({ feed_forward_energy }) => feed_forward_energy),
];

function numeric(id: string, label: string, of: (place: FallPlace) => number | null): DataColumn<ResidualFall> {
  const value = ({ place }: ResidualFall) => (place ? of(place) : null);
  return { id, label, numeric: true, shown: true, value };
}

function ratioOf(id: string, label: string, of: (place: FallPlace) => number): DataColumn<ResidualFall> {
  const value = ({ place }: ResidualFall) => (place ? of(place) : null);
  return { id, label, numeric: true, value, format: factor };
}

function factor(ratio: number): string {
  return `× ${ratio.toFixed(3)}`;
}

/** `stacks` is empty for a model of one stack. */
export function Falls({ falls, stacks }: { falls: readonly ResidualFall[]; stacks: readonly StackName[] }) {
  const sure = falls.filter(({ on_both_halves }) => on_both_halves).length;
  return (
    <div id="falls">
      <h4>
        {counted(falls.length, 'fall')},{' '}
        {falls.length > 1 ? `${count(sure)} of them on both halves` : `${sure > 0 ? '' : 'not '}on both halves`} of the tokens
      </h4>
      <p>
        A factor below 1 under Attention or Feed-forward says that this part makes the least singular value smaller. The other columns
        describe the bottom direction after the block, along which the stream varies least. “|cos| before” compares it with the bottom
        direction before the block: near 1, the same direction becomes smaller; near 0, another one takes its place. “|cos| mean”
        compares it with the mean over channels, and “|cos| 1/γ” with the inverse scale of the norm that reads the stream next. “Near-dead”
        is its length in channels that this norm almost switches off. “Attention writes” and “Feed-forward writes” say how strongly the maps of
        a part write along it, compared with the average direction: at 0 it lies in their null space. They are computed for the deepest
        falls. Where the gap is near 1, several directions are nearly alike and these
        numbers say little.
        {stacks.length > 0 && ' In a block of the decoder, “attention” is both of its attentions together.'}
      </p>
      <DataTable
        label="Falls of the least singular value"
        noun="fall"
        rows={falls}
        columns={stacks.length > 0 ? COLUMNS : COLUMNS.filter(({ id }) => id !== 'stack')}
        text={({ block, stack, place }) => `${block} ${stack ?? ''} ${place ? PARTS[place.part] : ''}`}
      />
    </div>
  );
}
