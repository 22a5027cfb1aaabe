/**
 * The page's place in the browser: title and address follow what is shown, and Back and Forward lead to it again. A report stays in the
 * history as long as its files are in memory; after a reload only those do whose address or report is in the fragment.
 */
import { effect, signal, untracked } from '@preact/signals';
import { type Link, type Spot, page, pointing, readLink, readSpot } from '../files';
import { settle, unsettle } from '../settle';
import { address, hub } from './address';
import { type Opened, type View, opened, pointAt, pointedAt, view } from './opened';
import { cancel, openCheckpoint } from './opening';
import { scan } from './scan';

/** What an entry of the history shows: a view, and the id of the report or of the table in it. */
type Place = { view: View; of: number };

const NOWHERE: Spot = { site: null, section: null };
const TITLE = document.title;

/** How many reports can be opened again by Back: only their files are kept, not their workers. */
const MOST = 16;

/** The part of a report that a link points at, until the report is there. */
export const awaited = signal<Spot>(NOWHERE);

const kept = new Map<number, Pick<Opened, 'id' | 'fragment' | 'entries'>>();

/** Whether the history's current entry is ours: one that the reader typed or followed is not, until what it names is open. */
let isOurs = false;

/** The entry that the page shows, so that a second event for the same move is ignored. */
let current = '';

/** The last report and the last table that came onto the page. */
const arrived = { report: 0, scan: 0 };

function placeNow(): Place {
  const ids = { welcome: 0, report: opened.value?.id, scan: scan.value?.id };
  return { view: view.value, of: ids[view.value] ?? 0 };
}

const fragmentNow = (): string => (view.value === 'report' ? (opened.value?.fragment ?? '') : '');

/** An entry of the history as one value; browsers escape fragments in their own way. */
const identity = (place: unknown, fragment: string): string => JSON.stringify([place, new URL(page() + fragment).hash]);

/** Enters a place into the history; the entry of a link that has just been followed becomes this place. */
function enter(place: Place, fragment: string): void {
  if (isOurs && identity(place, fragment) === current) return;
  if (isOurs) history.pushState(place, '', page() + fragment);
  else replace(place, fragment);
  current = identity(place, fragment);
}

function replace(place: Place, fragment: string): void {
  history.replaceState(place, '', page() + fragment);
  isOurs = true;
  current = identity(place, fragment);
}

/** A link to part of the open report: it opens the report too, unless that came from files. */
export function linkTo(spot: Partial<Spot>): string {
  return `${page()}${pointing(fragmentNow(), { ...NOWHERE, ...spot })}`;
}

/** Puts part of the open report into the address bar. */
export function visit(spot: Partial<Spot>): void {
  enter(placeNow(), pointing(fragmentNow(), { ...NOWHERE, ...spot }));
}

/** Whether the reader is to begin at the top of what is shown: no link points further down. */
export function beginsAtTop(): boolean {
  const { site, section } = readSpot(location.hash);
  return view.value !== 'report' || (site === null && section === null);
}

/** Leaves the report or the table for the welcome; Back returns. */
export function leave(): void {
  cancel();
  unsettle();
  view.value = 'welcome';
  enter(placeNow(), '');
}

/** Opens what a link names or holds, and goes to the part that it points at. */
function openLink({ entry, ...spot }: Link): void {
  if ('address' in entry) {
    address.value = entry.address;
    hub.value = entry.hub ?? '';
  }
  awaitPart(spot, openCheckpoint(() => [entry]));
}

/** Goes to part of a report once it is open; one that fails, or is overtaken by another, leaves what is awaited then alone. */
function awaitPart(spot: Spot, opening: Promise<unknown>): void {
  awaited.value = spot;
  opening.catch(() => {
    if (awaited.value === spot) awaited.value = NOWHERE;
  });
}

function goTo({ site, section }: Spot): void {
  if (site !== null) pointAt(site);
  else if (section !== null) settle(() => document.getElementById(section), 'start');
}

/** Shows a report that has been opened; one that was measured is the same report. */
function arrive(now: Opened): void {
  const { id, fragment, entries } = now;
  kept.delete(id);
  kept.set(id, { id, fragment, entries });
  for (const [oldest] of kept) if (kept.size > MOST) kept.delete(oldest);
  if (id === arrived.report) return;
  arrived.report = id;
  view.value = 'report';
  const spot = awaited.value;
  awaited.value = NOWHERE;
  const isThere = spot.site === null || now.report.norms.some(({ name }) => name === spot.site);
  enter(placeNow(), pointing(fragment, isThere ? spot : NOWHERE));
  goTo(spot);
}

/** Shows the place of an entry that Back or Forward has led to. */
function restore(place: Place, hash: string): void {
  cancel();
  unsettle();
  const spot = readSpot(hash);
  const before = kept.get(place.of);
  const link = readLink(hash);
  if (place.view === 'scan' && scan.value?.id === place.of) view.value = 'scan';
  else if (place.view === 'report' && opened.value?.id === place.of) {
    const isElsewhere = view.value !== 'report';
    view.value = 'report';
    // Within a report the browser itself returns to where the reader was.
    if (isElsewhere || spot.site !== null) goTo(spot);
  } else if (place.view === 'report' && before) {
    awaitPart(spot, openCheckpoint(() => before.entries, { again: before }));
  } else if (link) {
    isOurs = false;
    openLink(link);
  } else {
    view.value = 'welcome';
    awaited.value = { ...NOWHERE, site: spot.site };
    replace(placeNow(), hash);
  }
}

/** Follows a fragment that was typed, or a link in the page: it opens something, or points into the open report. */
function follow(hash: string): void {
  const link = readLink(hash);
  if (link) {
    isOurs = false;
    return openLink(link);
  }
  const spot = readSpot(hash);
  const isOfReport = view.value === 'report';
  // The browser itself has gone to a section.
  replace(placeNow(), isOfReport ? pointing(fragmentNow(), spot) : hash);
  if (!isOfReport) awaited.value = { ...NOWHERE, site: spot.site };
  else if (spot.site !== null) pointAt(spot.site);
}

const isPlace = (state: unknown): state is Place => typeof state === 'object' && state !== null && 'view' in state && 'of' in state;

/** The history has moved to another entry, or the fragment has changed. Browsers send an event for both, often twice. */
function moved(): void {
  const state: unknown = history.state;
  const now = identity(state, location.hash);
  if (now === current) return;
  current = now;
  if (!isPlace(state)) return follow(location.hash);
  isOurs = true;
  restore(state, location.hash);
}

/** Begins to keep the page's place, and opens what the address names. */
export function keepPlace(): void {
  effect(() => {
    const now = opened.value;
    if (now) untracked(() => arrive(now));
  });
  effect(() => {
    const id = scan.value?.id;
    if (id === undefined || id === arrived.scan) return;
    arrived.scan = id;
    untracked(() => {
      view.value = 'scan';
      enter(placeNow(), '');
    });
  });
  effect(() => {
    const to = pointedAt.value;
    if (to) untracked(() => goneTo(to.site));
  });
  effect(() => {
    const name = { welcome: null, report: opened.value?.report.checkpoint.name, scan: scan.value?.name || 'Checkpoints' }[view.value];
    document.title = name ? `${name} · Gammascope` : TITLE;
  });
  addEventListener('popstate', moved);
  addEventListener('hashchange', moved);
  if (isPlace(history.state)) restore(history.state, location.hash);
  else follow(location.hash);
}

/** The reader is taken to a site: its row is opened by the table, and held in view here. */
function goneTo(site: number): void {
  const name = opened.value?.report.norms[site]?.name;
  if (name === undefined) return;
  enter(placeNow(), pointing(fragmentNow(), { site: name, section: null }));
  settle(() => document.querySelector(`[data-site="${CSS.escape(name)}"]`)?.closest('tr')?.previousElementSibling ?? null, 'center');
}
