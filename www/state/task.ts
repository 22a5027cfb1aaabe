/** What all long operations have in common. */
import type { Progress } from '../report';

/** A running operation: its progress, and how to stop it. */
export type Task = { progress: Progress | null; controller: AbortController };
