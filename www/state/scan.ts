/** The table of many checkpoints that were opened together. */
import { signal } from '@preact/signals';
import type { Entry } from '../protocol';
import type { Report } from '../report';

/** What a line shows of the report of its checkpoint. */
export type Summary = Pick<Report['model'], 'verdict' | 'confidence'> & { sites: number; dead: number; warnings: number; bytes: number };

/** A checkpoint of a scan. `outcome` is null until it is inspected. */
export type Line = { name: string; entries: Entry[]; bytes: number; outcome: Summary | { error: string } | null };

/** A scan. `name` is the common folder, or empty. `controller` is set while the scan runs. */
export type Scan = { id: number; name: string; lines: readonly Line[]; controller: AbortController | null };

/** The last scan. */
export const scan = signal<Scan | null>(null);
