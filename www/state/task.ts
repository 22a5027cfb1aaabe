/** What everything that takes a while has in common. */
import type { Progress } from '../report';

/** Something that is running: how far it is and how to stop it. */
export type Task = { progress: Progress | null; controller: AbortController };
