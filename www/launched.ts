/** Files that are opened with the installed page from the system's file manager (the manifest's `file_handlers`). */
import { show } from './intake';

declare global {
  /** Chromium's, https://wicg.github.io/web-app-launch/#launchqueue-interface; it keeps what comes before anybody asks. */
  interface Window {
    launchQueue?: { setConsumer(take: (launch: { files: readonly FileSystemHandle[] }) => void): void };
  }
}

/** Opens them as a drop would. */
export function receive(): void {
  window.launchQueue?.setConsumer(({ files }) => {
    const handles = [...files];
    // The page is launched without files too.
    if (handles.length === 0) return;
    void import('./recent').then(({ entriesOfRecent }) => show(() => entriesOfRecent({ handles }), () => ({ handles })));
  });
}
