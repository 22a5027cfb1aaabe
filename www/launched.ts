/** Opens files that the file manager of the system passes to the installed page (`file_handlers` in the manifest). */
import { show } from './intake';

declare global {
  /** Only in Chromium: https://wicg.github.io/web-app-launch/#launchqueue-interface. It queues launches until there is a consumer. */
  interface Window {
    launchQueue?: { setConsumer(take: (launch: { files: readonly FileSystemHandle[] }) => void): void };
  }
}

/** Opens them like a drop. */
export function receive(): void {
  window.launchQueue?.setConsumer(({ files }) => {
    const handles = [...files];
    // The page can also launch without files.
    if (handles.length === 0) return;
    void import('./recent').then(({ entriesOfRecent }) => show(() => entriesOfRecent({ handles }), () => ({ handles })));
  });
}
