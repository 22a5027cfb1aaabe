/** Fetches the checkpoints that ship with the page. Loaded when somebody opens one. */
import type { Dropped } from './protocol';

/** The folders of the samples, relative to the page. */
export type SampleName = 'layernorm' | 'rmsnorm' | 'vit-layernorm' | 'vit-rmsnorm';

const SHAPES = ['circle', 'ring', 'square', 'frame', 'triangle', 'cross', 'stripes', 'checks'];

/** The files of a sample besides its weights and its configuration: for text a tokenizer, for images a processor and some images. */
const BESIDE = {
  text: ['tokenizer.json'],
  images: ['preprocessor_config.json', ...SHAPES.map((shape) => `${shape}.png`)],
};

/** Fetches a sample, as if the user had dropped its files. */
export async function entriesOfSample(name: SampleName, signal: AbortSignal): Promise<Dropped[]> {
  const beside = BESIDE[name.startsWith('vit') ? 'images' : 'text'];
  return Promise.all(
    ['model.safetensors', 'config.json', ...beside].map(async (leafName) => {
      const answer = await fetch(`./samples/${name}/${leafName}`, { signal });
      if (!answer.ok) throw new Error(`The sample file ${leafName} is not there (${answer.status}).`);
      const file = new File([await answer.blob()], leafName);
      return { path: `${name}/${leafName}`, file, input: leafName.endsWith('.png') };
    }),
  );
}
