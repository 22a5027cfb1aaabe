/** The table of many checkpoints that were given at once. */
import { signal } from '@preact/signals';
import type { Entry } from '../protocol';
import type { Report } from '../report';

/** What a line shows of the report on its checkpoint. */
export type Summary = Pick<Report['model'], 'verdict' | 'confidence'> & { sites: number; dead: number; warnings: number; bytes: number };

/** A checkpoint of a scan: what came of it, or null until it has been inspected. */
export type Line = { name: string; entries: Entry[]; bytes: number; outcome: Summary | { error: string } | null };

/** The checkpoints that were given together, and the folder they came in, if it is one; `controller` while they are being inspected. */
export type Scan = { id: number; name: string; lines: readonly Line[]; controller: AbortController | null };

/** The last scan; null until there was one. */
export const scan = signal<Scan | null>(null);
