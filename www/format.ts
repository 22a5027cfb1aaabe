/**
 * Formats numbers, bytes and the words of the schema for people. Digits and exponents are plain ASCII, so that numbers copied from the
 * page can be pasted into code.
 */
import { THRESHOLD, type AdapterMethod, type KernelForm, type ModelVerdict, type NormBehaviour, type NormKind, type NormRole, type ReaderUse, type ScaleConvention } from './report';

const grouped = new Intl.NumberFormat('en-US');

/** 1234567 → "1,234,567". */
export function count(value: number): string {
  return grouped.format(value);
}

/** "1 site", "2 sites", "3 directions". */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** Four significant digits, with an exponent for very large or small numbers. */
export function number(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return count(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
}

/** Significant digits of the smallest number in a column, and the largest number of digits of any. */
const [COLUMN_DIGITS, MOST_DIGITS] = [4, 7];

/** A column whose numbers differ by this factor is written with exponents. */
const FAR_APART = 1e5;

/** Returns one format for all numbers of a column, so that they line up: either the same decimals, or exponents. */
export function aligned(values: readonly (number | null)[]): (value: number) => string {
  let [least, most, whole] = [Infinity, 0, true];
  for (const value of values) {
    const size = Math.abs(value ?? 0);
    if (size === 0 || !Number.isFinite(size)) continue;
    [least, most] = [Math.min(least, size), Math.max(most, size)];
    // A column counts as whole if its rounded numbers are whole.
    whole &&= Number.isInteger(Number(size.toPrecision(COLUMN_DIGITS)));
  }
  if (whole && most < 1e9) return (value) => count(Math.round(value));
  const places = (size: number) => Math.floor(Math.log10(size));
  const decimals = Math.max(0, Math.min(COLUMN_DIGITS - 1 - places(least), MOST_DIGITS - 1 - Math.max(0, places(most))));
  const far = most >= 1e6 || least < 1e-4 || most / least > FAR_APART;
  return (value) => {
    // Exactly zero looks different from a number that is too small to show.
    if (value === 0) return '0';
    return far ? value.toExponential(COLUMN_DIGITS - 2).replace('e+', 'e') : value.toFixed(decimals);
  };
}

/** A number, or a dash if there is none. */
export function maybe(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : number(value);
}

const scale = (value: number, base: string[], digits: number): string => {
  let step = 0;
  while (step < base.length - 1 && value >= 999.5) {
    value /= 1000;
    step += 1;
  }
  const text = step === 0 ? String(value) : value.toFixed(value < 99.95 ? digits : 0);
  return base[step] ? `${text} ${base[step]}` : text;
};

/** Bytes in decimal units, as on the download page of a model. */
export function bytes(value: number): string {
  return scale(value, ['B', 'kB', 'MB', 'GB', 'TB'], 1);
}

/** 22713216 → "22.7 M". */
export function parameters(value: number): string {
  return scale(value, ['', 'K', 'M', 'B', 'T'], 1);
}

/** A rough duration: 0.4 → "a second", 40 → "40 s", 120 → "2 min". */
export function duration(seconds: number): string {
  if (seconds < 1) return 'a second';
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** A share from 0 to 1 as a percentage with two digits, as in the headline. A small share never becomes 0 %. */
export function percent(share: number): string {
  if (share === 0) return '0 %';
  return `${Number((share * 100).toPrecision(2))} %`;
}

/** A probability. It is never printed as 1 unless it is 1. */
export function probability(value: number): string {
  if (value >= 0.9995 && value < 1) return '> 0.999';
  return String(Number(value.toFixed(3)));
}

/** A confidence in words. */
export function confidenceWord(value: number): string {
  if (value >= 0.99) return 'near certain';
  if (value >= THRESHOLD) return 'very likely';
  if (value >= 0.8) return 'likely';
  return value > 0 ? 'thin' : 'undecided';
}

/** A cell of a figure's table. */
export function cell(value: number | string | null | undefined): string {
  return typeof value === 'number' ? number(value) : (value ?? '–');
}

export const KINDS: Record<NormKind, string> = {
  layernorm: 'LayerNorm',
  rmsnorm: 'RMSNorm',
  other: 'Other norm',
  unknown: 'Unknown',
};

export const BEHAVIOURS: Record<NormBehaviour, string> = {
  layernorm: 'LayerNorm',
  rmsnorm: 'RMSNorm',
  spanning: 'a norm over groups, positions or the batch',
  plain: 'no normalisation',
};

export const VERDICTS: Record<ModelVerdict, string> = { ...KINDS, mixed: 'Mixed' };

export const ROLES: Record<NormRole, string> = {
  final: 'final',
  block: 'block',
  embedding: 'embedding',
  query_key: 'query/key',
  other: 'other',
};

export const USES: Record<ReaderUse, string> = {
  query: 'query',
  key: 'key',
  value: 'value',
  fused_attention: 'fused attention',
  feed_forward: 'feed-forward',
  expert: 'expert',
  router: 'router',
  unembedding: 'unembedding',
  tied_unembedding: 'tied unembedding',
  projection: 'projection',
};

export const METHODS: Record<AdapterMethod, string> = {
  lora: 'LoRA',
  ada_lora: 'AdaLoRA',
  loha: 'LoHa',
  lokr: 'LoKr',
  vera: 'VeRA',
  difference: 'full difference',
};

export const CONVENTIONS: Record<ScaleConvention, string> = {
  weight: 'γ = w',
  one_plus_weight: 'γ = 1 + w',
  none: 'γ = 1, nothing stored',
  unknown: 'not known: w or 1 + w',
};

/** The form of the kernel in a word or two, for a table cell. */
export function kernelForm(form: KernelForm, coordinates: number): string {
  switch (form) {
    case 'inverse_scale':
      return 'γ⁻¹';
    case 'coordinates':
      return counted(coordinates, 'coordinate');
    case 'none':
      return 'none';
    case 'unknown':
      return 'unknown';
  }
}

/** What is dead after a norm, in a word or two. */
export function dead({ form, coordinates }: { form: KernelForm; coordinates: number[] }): string {
  switch (form) {
    case 'inverse_scale':
      return '1 direction';
    case 'coordinates':
      return counted(coordinates.length, 'channel');
    case 'none':
      return 'nothing';
    case 'unknown':
      return 'not known';
  }
}
