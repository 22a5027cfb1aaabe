/** The report beside something else: a comparison, and an adapter; fetched when a report is open. */
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
