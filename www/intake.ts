/** Opens what the user gives: a checkpoint, or files for the open one, such as activations, images or an adapter. */
import { isAdapter } from './files';
import type { Entry } from './protocol';
import type { Report } from './report';
import { measure } from './state/measuring';
import { announcement } from './state/announcement';
import { media } from './state/media';
import { shown } from './state/opened';
import { type Gather, type Trace, openCheckpoint } from './state/opening';

/** While a checkpoint is open, files with these names are activations. */
const ACTIVATIONS = /(\.npy|activations[^/]*\.safetensors)$/i;

/** Files with these names are images or sounds to run the model on. */
const MEDIA = { images: /\.(png|jpe?g|gif|webp|bmp|tiff?)$/i, sounds: /\.(wav|flac|mp3|ogg)$/i } as const;

/** Opens the checkpoint that `gather` finds. Other files are used with the open one: see `instead`. Resolves to the last report shown. */
export function open(gather: Gather, weights?: boolean, origin?: Trace): Promise<Report> {
  return openCheckpoint(gather, { weights, origin, instead });
}

/** Measures activations, offers images or sounds to the next run, or measures an adapter. Returns null for a checkpoint. */
function instead(entries: Entry[]): Promise<Report> | null {
  const [first] = entries;
  if (shown.value && entries.length === 1 && first && 'file' in first && ACTIVATIONS.test(first.path))
    return measure(first, { ask: true });
  const files = entries.flatMap((entry) => ('file' in entry ? [entry] : []));
  const kind = (['images', 'sounds'] as const).find((one) => files.every(({ path }) => MEDIA[one].test(path)));
  if (shown.value && kind && entries.length > 0 && files.length === entries.length) {
    media.value = { kind, files: files.map(({ file }) => file) };
    announcement.value = `The ${kind} are ready: run the model on them.`;
    document.getElementById('verify')?.scrollIntoView();
    return Promise.resolve(shown.value.report);
  }
  if (shown.value && entries.every((entry) => 'file' in entry) && isAdapter(entries))
    return import('./together').then(({ adapterOf }) => adapterOf(entries));
  return null;
}

/** Calls `open` from event handlers. The page already shows the failure, so the rejection is dropped. */
export function show(gather: Gather, origin?: Trace): void {
  open(gather, undefined, origin).catch(() => undefined);
}
