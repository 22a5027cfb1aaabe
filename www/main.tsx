/** Mounts the page and gives code the same way in as a drop. */
import { render } from "preact";
import { type Openable, entriesOf } from "./files";
import type { Report } from "./report";
import { open } from "./state";
import { applyTheme } from "./theme";
import { App } from "./views/app";

declare global {
  interface Window {
    /** The page from code: `await gammascope.open(input.files)`. */
    gammascope: { open(files: Openable): Promise<Report> };
  }
}

window.gammascope = { open: (files) => open(() => entriesOf(files)) };

applyTheme();

const mount = document.getElementById("app");
if (mount) render(<App />, mount);
