/** The bar at the top: the name, the sections of the report, sharing, opening another checkpoint, and the theme. */
import { useRef } from 'preact/hooks';
import { shown, view } from '../state/opened';
import { leave } from '../state/place';
import { sections } from '../state/sections';
import { nextTheme, theme } from '../theme';
import { Openers } from './openers';
import { Sharing } from './sharing';

function Places({ onChosen }: { onChosen?: () => void }) {
  return (
    <>
      {sections.value.map(({ id, label }) => (
        <a key={id} href={`#${id}`} onClick={onChosen}>
          {label}
        </a>
      ))}
    </>
  );
}

/** Shows the welcome without reloading the page. Back returns to the report. */
function toStart(event: MouseEvent): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  leave();
}

export function Header() {
  const menu = useRef<HTMLDivElement>(null);
  const places = useRef<HTMLElement>(null);
  const current = shown.value;
  return (
    <header class="bar">
      <a class="wordmark" href="./" title="Start" onClick={toStart}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 5c4-1.500 6.500 1 8 7M20 4.500C17 8 13 13 12 18.500c-.600 3.300 2.400 3.300 1.800 0C13.300 16 12.700 14 12 12" />
        </svg>
        <span>Gammascope</span>
      </a>
      {current && (
        <>
          <nav class="wide" aria-label="Report">
            <Places />
          </nav>
          <button type="button" class="button quiet sections-button" aria-label="Sections" popovertarget="section-menu">
            <span class="lines" aria-hidden="true" />
            <span class="sections-name">Sections</span>
          </button>
          <nav id="section-menu" class="menu sections" aria-label="Sections" popover="auto" ref={places}>
            <Places onChosen={() => places.current?.hidePopover()} />
          </nav>
        </>
      )}
      <div class="actions">
        {view.value !== 'welcome' && (
          <>
            {current && <Sharing opened={current} />}
            <button type="button" class="button" popovertarget="open-menu">
              Open…
            </button>
            <div id="open-menu" class="menu" popover="auto" ref={menu}>
              <Openers onChosen={() => menu.current?.hidePopover()} />
              <p class="muted small">Or drop files anywhere on the page.</p>
            </div>
          </>
        )}
        <button type="button" class="button quiet" aria-label={`Theme: ${theme.value}. Change`} onClick={nextTheme}>
          <span class="theme-icon" data-theme-icon={theme.value} aria-hidden="true" />
          <span class="theme-name">{theme.value}</span>
        </button>
      </div>
    </header>
  );
}
