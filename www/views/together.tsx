/** The report beside something else; fetched when a report is open. */
import type { Opened } from '../state/opened';
import { Adapter } from './adapter';
import { Compare } from './compare';

export function Together({ opened }: { opened: Opened }) {
  return (
    <>
      <Compare opened={opened} />
      <Adapter opened={opened} />
    </>
  );
}
