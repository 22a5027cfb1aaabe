/**
 * Keeps the title, the address and the history in step with what the page shows, so that Back and Forward return to it. A report stays
 * in the history as long as its files are in memory. After a reload, only reports with an address or a report in the fragment stay.
 */
import { effect, signal, untracked } from '@preact/signals';
import { type Link, type Spot, page, pointing, readLink, readSpot } from '../files';
import { settle, unsettle } from '../settle';
import { address, hub } from './address';
import { type Opened, type View, opened, pointAt, pointedAt, view } from './opened';
import { cancel, openCheckpoint } from './opening';
import { scan } from './scan';

/** A history entry: the view, and the id of its report or table. */
type Place = { view: View; of: number };

const NOWHERE: Spot = { site: null, section: null };
const TITLE = document.title;

/** How many reports Back can open again. The page keeps their files, not their workers. */
const MOST = 16;

/** The target of a link, until its report is open. */
export const awaited = signal<Spot>(NOWHERE);

const kept = new Map<number, Pick<Opened, 'id' | 'fragment' | 'entries'>>();

/** Whether this file wrote the current history entry. An entry that the reader typed or followed is not ours until it is open. */
let isOurs = false;

/** The history entry that the page shows, to ignore a second event for the same move. */
let current = '';

/** The ids of the last report and the last table shown. */
const arrived = { report: 0, scan: 0 };

function placeNow(): Place {
  const ids = { welcome: 0, report: opened.value?.id, scan: scan.value?.id };
  return { view: view.value, of: ids[view.value] ?? 0 };
}

const fragmentNow = (): string => (view.value === 'report' ? (opened.value?.fragment ?? '') : '');

/** A history entry as one string. `URL` normalises the fragment, because browsers escape it differently. */
const identity = (place: unknown, fragment: string): string => JSON.stringify([place, new URL(page() + fragment).hash]);

/** Adds a place to the history. The entry of a link that was just followed becomes this place. */
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

/** A link to part of the open report. It also opens the report, unless that came from files. */
export function linkTo(spot: Partial<Spot>): string {
  return `${page()}${pointing(fragmentNow(), { ...NOWHERE, ...spot })}`;
}

/** Puts part of the open report into the address bar. */
export function visit(spot: Partial<Spot>): void {
  enter(placeNow(), pointing(fragmentNow(), { ...NOWHERE, ...spot }));
}

/** Whether the page starts at the top: no link points further down. */
export function beginsAtTop(): boolean {
  const { site, section } = readSpot(location.hash);
  return view.value !== 'report' || (site === null && section === null);
}

/** Shows the welcome. Back returns to the report or the table. */
export function leave(): void {
  cancel();
  unsettle();
  view.value = 'welcome';
  enter(placeNow(), '');
}

/** Opens a link and goes to its target. */
function openLink({ entry, ...spot }: Link): void {
  if ('address' in entry) {
    address.value = entry.address;
    hub.value = entry.hub ?? '';
  }
  awaitPart(spot, openCheckpoint(() => [entry]));
}

/** Goes to a target once its report is open. If opening fails, the target is dropped, unless another one is awaited by then. */
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

/** Shows a newly opened report. A measurement updates the same report. */
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

/** Shows the place of a history entry after Back or Forward. */
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
    // Within a report, the browser itself restores the scroll position.
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

/** Follows a typed fragment or a link in the page: opens it, or goes to its target in the open report. */
function follow(hash: string): void {
  const link = readLink(hash);
  if (link) {
    isOurs = false;
    return openLink(link);
  }
  const spot = readSpot(hash);
  const isOfReport = view.value === 'report';
  // The browser itself goes to a section.
  replace(placeNow(), isOfReport ? pointing(fragmentNow(), spot) : hash);
  if (!isOfReport) awaited.value = { ...NOWHERE, site: spot.site };
  else if (spot.site !== null) pointAt(spot.site);
}

const isPlace = (state: unknown): state is Place => typeof state === 'object' && state !== null && 'view' in state && 'of' in state;

/** Handles a move in the history or a change of the fragment. Browsers send an event for both, often twice. */
function moved(): void {
  const state: unknown = history.state;
  const now = identity(state, location.hash);
  if (now === current) return;
  current = now;
  if (!isPlace(state)) return follow(location.hash);
  isOurs = true;
  restore(state, location.hash);
}

/** Starts to keep the history in step, and opens what the address of the page names. */
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

/** Goes to a site. The table opens its row; this keeps it in view. */
function goneTo(site: number): void {
  const name = opened.value?.report.norms[site]?.name;
  if (name === undefined) return;
  enter(placeNow(), pointing(fragmentNow(), { site: name, section: null }));
  settle(() => document.querySelector(`[data-site="${CSS.escape(name)}"]`)?.closest('tr')?.previousElementSibling ?? null, 'center');
}
