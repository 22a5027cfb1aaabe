/** The page: a bar, what is going on, the report or the welcome, and how it all works. */
import { useEffect, useRef } from 'preact/hooks';
import { opened } from '../state/opened';
import { DropTarget } from './drop';
import { FinalNorm } from './final-norm';
import { Header } from './header';
import { lazily, afterLoad } from './lazily';
import { SharedNote } from './shared';
import { Sites } from './sites';
import { Announcer, Failure, Opening, Several } from './status';
import { Explanation } from './term';
import { Verdict } from './verdict';
import { Warnings } from './warnings';
import { Weights } from './weights';
import { Welcome } from './welcome';

/** What looks after the page itself comes after everything that somebody waits for. */
const Renewal = lazily(() => afterLoad().then(() => import('./renewal')).then((views) => views.Renewal));

const Measure = lazily(() => import('./measure').then((views) => views.Measure));

const Verify = lazily(() => import('./verify').then((views) => views.Verify));

const Together = lazily(() => import('./together').then((views) => views.Together));

const Dead = lazily(() => import('./dead').then((views) => views.Dead));

const FileContents = lazily(() => import('./file').then((views) => views.FileContents));

const HowItWorks = lazily(() => import('./how').then((views) => views.HowItWorks));

export function App() {
  const current = opened.value;
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!current) return;
    // A new report is a new page: begin at its sentence.
    scrollTo({ top: 0 });
    main.current?.querySelector<HTMLElement>('#sentence')?.focus({ preventScroll: true });
  }, [current?.id]);
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
            <FinalNorm opened={current} />
            <Sites opened={current} />
            <Weights opened={current} />
            <Verify opened={current} />
            <Measure opened={current} />
            <Dead report={current.report} />
            <FileContents opened={current} />
            {!current.report.shared && <Together opened={current} />}
            <Warnings report={current.report} />
          </article>
        ) : (
          <Welcome />
        )}
        <HowItWorks />
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
