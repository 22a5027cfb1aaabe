/** Shares the open report. */
import { linkTo } from '../files';
import { withVerifier } from './verifier';

/** Returns a link that holds the open report, at `site` if given, or the report as one HTML file. */
export async function share(
  { as = 'link', names = true, site = null }: { as?: 'link' | 'html'; names?: boolean; site?: string | null } = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const { inspector } = await withVerifier();
  const made = new Date().toISOString();
  if (as === 'html') return inspector.ask('html', [names, made], signal);
  return linkTo(await inspector.ask('link', [names, made], signal), site);
}
