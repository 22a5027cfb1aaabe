/** The results of a comparison and of an adapter. Loaded when a report is open. */
import type { Opened } from '../state/opened';
import { AdapterResult } from './adapter';
import { CompareResult } from './compare';

export function BesideResults({ opened }: { opened: Opened }) {
  return (
    <>
      <CompareResult opened={opened} />
      <AdapterResult opened={opened} />
    </>
  );
}
