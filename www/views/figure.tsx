/**
 * A figure from wasm: its SVG at its width on the page, the value at the pointer or the arrow keys, its data table, and its
 * downloads.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { fileName, rasterised, save, saveText, standalone } from '../download';
import { cell, count } from '../format';
import type { Drawer } from '../inspector';
import type { Figure, FigureKind } from '../report';
import { Reading, spokenReading } from './reading';

const TABLE_ROWS = 200;
const JUMP = 10;

/** With this height, the wasm chooses the one that suits the width. */
const NATURAL = 0;

type Props = {
  inspector: Drawer;
  /** The report of the figure. When it changes, the figure is drawn again. */
  report: object;
  kind: FigureKind;
  site?: string | undefined;
  /** The name of the checkpoint. The names of downloads begin with it. */
  checkpoint: string;
  /** Called with the table row of a mark after a click or Enter. */
  onPick?: (row: (number | string | null)[]) => void;
  children?: ComponentChildren;
};

export function FigureView({ inspector, report, kind, site, checkpoint, onPick, children }: Props) {
  const stage = useRef<HTMLDivElement>(null);
  const paper = useRef<HTMLDivElement>(null);
  const here = useRef<HTMLSpanElement>(null);
  const [width, setWidth] = useState(0);
  const [figure, setFigure] = useState<Figure | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [at, setAt] = useState<{ mark: number; spoken: boolean } | null>(null);

  useEffect(() => {
    const element = stage.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      const now = Math.round(entry?.contentRect.width ?? 0);
      if (now > 0) setWidth(now);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [problem === null]);

  useEffect(() => {
    if (width === 0 || problem !== null) return;
    const controller = new AbortController();
    inspector.figure(kind, site, width, NATURAL, controller.signal).then(
      setFigure,
      (error: Error) => {
        if (!controller.signal.aborted) setProblem(error.message);
      },
    );
    return () => controller.abort();
  }, [inspector, report, kind, site, width, problem]);

  useEffect(() => {
    if (figure && paper.current) paper.current.replaceChildren(drawn(figure));
  }, [figure]);

  useEffect(() => setProblem(null), [inspector, report, kind, site]);

  if (problem !== null) {
    return (
      <p class="figure-problem muted">
        No figure: {problem} <button onClick={() => setProblem(null)}>Try again</button>
      </p>
    );
  }

  const scale = figure ? width / figure.width : 1;
  const mark = at && figure?.marks[at.mark];
  const row = mark && figure?.table.rows[mark.row];
  const last = (figure?.marks.length ?? 0) - 1;

  const move = (to: number) => setAt({ mark: Math.min(last, Math.max(0, to)), spoken: true });
  const onKeyDown = (event: KeyboardEvent) => {
    const now = at?.mark ?? -1;
    const moves: Record<string, number> = {
      ArrowRight: now + 1,
      ArrowLeft: now - 1,
      PageDown: now + JUMP,
      PageUp: now - JUMP,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined && last >= 0) move(to);
    else if (event.key === 'Enter' && row && onPick) onPick(row);
    else if (event.key === 'Escape') return setAt(null);
    else return;
    event.preventDefault();
  };
  const onPointer = (event: PointerEvent) => {
    if (!figure || figure.marks.length === 0) return;
    // If the page scrolls under a resting pointer, the mark chosen by keyboard stays.
    if (at?.spoken && event.movementX === 0 && event.movementY === 0 && event.type === 'pointermove') return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    setAt({
      mark: nearest(figure, (event.clientX - box.left) / scale, (event.clientY - box.top) / scale),
      spoken: false,
    });
  };

  const svg = () => paper.current?.querySelector('svg') ?? null;
  const name = (extension: string) => fileName([checkpoint, site, kind], extension);

  return (
    <figure class="figure" data-kind={kind}>
      <figcaption>
        <h3>{figure?.title ?? ' '}</h3>
        <p class="muted">{figure?.caption ?? ' '}</p>
      </figcaption>
      <div
        ref={stage}
        class={onPick ? 'stage pickable' : 'stage'}
        role="group"
        aria-label={`${figure?.title ?? 'Figure'}. Left and right arrow keys read its values.`}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onPointerMove={onPointer}
        onPointerDown={onPointer}
        onPointerLeave={(event) => event.pointerType === 'mouse' && !at?.spoken && setAt(null)}
        onBlur={() => setAt(null)}
        onClick={() => row && onPick?.(row)}
      >
        <div ref={paper} class="paper" />
        {mark && (
          <span
            ref={here}
            class="here"
            aria-hidden="true"
            style={{ left: `${mark.x * scale}px`, top: `${mark.y * scale}px` }}
          />
        )}
        {figure && row && <Reading figure={figure} row={row} mark={here} />}
      </div>
      <p class="sr-only spoken" aria-live="polite">
        {figure && row && at?.spoken ? spokenReading(figure, row) : ''}
      </p>
      <p class="muted hint small">
        {last >= 0 && 'Point at the figure, or focus it and press →, to read its values.'}
      </p>
      <div class="figure-foot">
        {figure && <Data figure={figure} />}
        <div class="buttons small">
          <button
            type="button"
            class="button quiet"
            aria-label={`Download SVG: ${figure?.title ?? kind}`}
            disabled={!figure}
            onClick={() => {
              const node = svg();
              if (node) saveText(standalone(node), 'image/svg+xml', name('svg'));
            }}
          >
            SVG
          </button>
          <button
            type="button"
            class="button quiet"
            aria-label={`Download PNG: ${figure?.title ?? kind}`}
            disabled={!figure}
            onClick={async () => {
              const node = svg();
              if (node) save(await rasterised(node), name('png'));
            }}
          >
            PNG
          </button>
          <button
            type="button"
            class="button quiet"
            aria-label={`Download CSV: ${figure?.title ?? kind}`}
            disabled={!figure}
            onClick={async () =>
              saveText(await inspector.csv(kind, site, new AbortController().signal), 'text/csv', name('csv'))
            }
          >
            CSV
          </button>
        </div>
      </div>
      {children}
    </figure>
  );
}

/** The data table of a figure. It is built when it is opened. */
function Data({ figure }: { figure: Figure }) {
  const [open, setOpen] = useState(false);
  const { columns, rows } = figure.table;
  return (
    <details class="data" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Data, {count(rows.length)} rows</summary>
      {open && (
        <div class="scroll" role="region" aria-label={`Data of ${figure.title}`} tabIndex={0}>
          <table>
            <thead>
              <tr>
                {columns.map(({ name, unit }) => (
                  <th key={name} scope="col">
                    {name}
                    {unit && <span class="muted"> ({unit})</span>}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, TABLE_ROWS).map((row, index) => (
                <tr key={index}>
                  {columns.map(({ name }, place) => (
                    <td key={name} class={typeof row[place] === 'number' ? 'numeric' : ''}>
                      {cell(row[place])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          {rows.length > TABLE_ROWS && <p class="muted">The first {TABLE_ROWS} rows; all of them are in the CSV.</p>}
        </div>
      )}
    </details>
  );
}

/** Finds the mark nearest to a point. Horizontal distance counts more, because most figures are read along x. */
function nearest({ marks }: Figure, x: number, y: number): number {
  let best = 0;
  let least = Infinity;
  for (let index = 0; index < marks.length; index += 1) {
    const mark = marks[index];
    if (!mark) continue;
    const distance = (mark.x - x) ** 2 + 0.4 * (mark.y - y) ** 2;
    if (distance < least) {
      least = distance;
      best = index;
    }
  }
  return best;
}

/**
 * Returns the figure as a node. It is parsed as XML, never as HTML, and everything that is not drawing is removed. So names from the
 * checkpoint can only be text.
 */
function drawn(figure: Figure): Node {
  const parsed = new DOMParser().parseFromString(figure.svg, 'image/svg+xml').documentElement;
  if (!(parsed instanceof SVGElement)) return document.createTextNode('');
  for (const element of [parsed, ...parsed.querySelectorAll('*')]) {
    if (/^(script|foreignobject|a|image|use|style)$/i.test(element.localName)) element.remove();
    for (const { name } of [...element.attributes]) {
      if (/^on|href$|^style$/i.test(name)) element.removeAttribute(name);
    }
  }
  // A title element would pop up over the values at the pointer. Downloads add it again.
  parsed.querySelector('title')?.remove();
  parsed.setAttribute('viewBox', parsed.getAttribute('viewBox') ?? `0 0 ${figure.width} ${figure.height}`);
  parsed.setAttribute('width', '100%');
  parsed.removeAttribute('height');
  parsed.setAttribute('role', 'img');
  parsed.setAttribute('aria-label', figure.title);
  parsed.dataset['width'] = String(figure.width);
  parsed.dataset['height'] = String(figure.height);
  return document.adoptNode(parsed);
}
