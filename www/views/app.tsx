/** The page: a bar, notices, the report or the welcome, and how it works. */
import { useEffect, useRef } from 'preact/hooks';
import { shown, view } from '../state/opened';
import { nothingOpening } from '../state/opening';
import { beginsAtTop } from '../state/place';
import { exists } from '../state/sections';
import { DropTarget } from './drop';
import { FinalNorm } from './final-norm';
import { Header } from './header';
import { lazily, longAfterLoad, whenNear } from './lazily';
import { SharedNote } from './shared';
import { Sites } from './sites';
import { Announcer, Failure, Opening, Several } from './status';
import { Explanation } from './term';
import { Verdict } from './verdict';
import { Warnings } from './warnings';
import { Weights } from './weights';
import { Welcome } from './welcome';

/** Updates of the page itself load last, after everything that the user waits for. */
const Renewal = lazily(() => longAfterLoad().then(nothingOpening).then(() => import('./renewal')).then((views) => views.Renewal));

const RunResult = lazily(() => import('./run-result').then((views) => views.RunResult));

const MeasureResult = lazily(() => import('./measured').then((views) => views.MeasureResult));

const BesideResults = lazily(() => import('./together').then((views) => views.BesideResults));

const Tools = lazily(() => import('./tools').then((views) => views.Tools));

const Dead = lazily(() => import('./dead').then((views) => views.Dead));

const Scan = lazily(() => import('./scan').then((views) => views.Scan));

const FileContents = lazily(() => import('./file').then((views) => views.FileContents));

const HowItWorks = whenNear(() => import('./how').then((views) => views.HowItWorks));

export function App() {
  const current = shown.value;
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    // Start a new report at its sentence, unless a link points further down.
    if (!beginsAtTop()) return;
    scrollTo({ top: 0, behavior: 'instant' });
    main.current?.querySelector<HTMLElement>('#sentence')?.focus({ preventScroll: true });
  }, [current?.id, view.value]);
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <Header />
      <main id="content" tabIndex={-1} ref={main}>
        <div class="notices">
          <Several />
          <Failure />
          <Renewal />
          {current && <Opening />}
        </div>
        {current ? (
          <article key={current.id} class="report">
            <SharedNote report={current.report} />
            <Verdict opened={current} />
            {exists.value.dead && <Dead report={current.report} />}
            {exists.value.kernel && <FinalNorm opened={current} />}
            <Sites opened={current} />
            {exists.value.weights && <Weights opened={current} />}
            {exists.value['run-result'] && <RunResult opened={current} />}
            {exists.value['measure-result'] && <MeasureResult opened={current} />}
            {!current.report.shared && <BesideResults opened={current} />}
            {exists.value.file && <FileContents opened={current} />}
            <Warnings report={current.report} />
            {exists.value.tools && <Tools opened={current} />}
          </article>
        ) : view.value === 'scan' ? (
          <Scan />
        ) : (
          <Welcome />
        )}
        <HowItWorks soon={current !== null} />
      </main>
      <footer>
        <p>
          Gammascope{current && ` ${current.report.tool_version}`}. Files are read in this browser and never uploaded.
        </p>
      </footer>
      <DropTarget />
      <Announcer />
      <Explanation />
    </>
  );
}
