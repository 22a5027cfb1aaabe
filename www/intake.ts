/** What is given to be opened: a checkpoint, or what belongs to the open one, its activations or an adapter. */
import { isAdapter } from './files';
import type { Entry } from './protocol';
import type { Report } from './report';
import { measure } from './state/measuring';
import { announcement } from './state/announcement';
import { media } from './state/media';
import { shown } from './state/opened';
import { type Gather, type Trace, openCheckpoint } from './state/opening';

/** A file of these names is taken for activations when a checkpoint is open. */
const ACTIVATIONS = /(\.npy|activations[^/]*\.safetensors)$/i;

/** Files of these names are images or sounds to run the model on. */
const MEDIA = { images: /\.(png|jpe?g|gif|webp|bmp|tiff?)$/i, sounds: /\.(wav|flac|mp3|ogg)$/i } as const;

/** Opens what `gather` finds; or measures on it, or measures it as an adapter, if it is no checkpoint. Resolves to the last report shown. */
export function open(gather: Gather, weights?: boolean, origin?: Trace): Promise<Report> {
  return openCheckpoint(gather, { weights, origin, instead });
}

/** Takes entries that are no checkpoint, and belong to the open one. */
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

/** `open` for event handlers: the failure is already on the page, so nobody needs the rejection. */
export function show(gather: Gather, origin?: Trace): void {
  open(gather, undefined, origin).catch(() => undefined);
}
