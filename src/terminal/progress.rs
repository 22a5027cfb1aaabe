//! A progress line on standard error, if the work takes longer than a moment and standard error is a terminal.

use super::screen;
use super::summary::printable;
use gammascope::inspect::{Progress, Stage};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the line moves even without news.
const TICK: Duration = Duration::from_millis(100);

/// The line. It appears without a report too.
pub(crate) struct Line {
    bar: ProgressBar,
    clock: Option<Clock>,
    is_counted: bool,
}

/// The thread that shows the line after `PATIENCE`.
struct Clock {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Line {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        let line = Self::silent();
        let clock = std::io::stderr().is_terminal().then(|| Clock::start(line.bar.clone()));
        Self { clock, ..line }
    }

    /// Makes a line that is never shown. If several checkpoints are read at once, one other line shows them all.
    pub(crate) fn silent() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message("opening files");
        Self { bar, clock: None, is_counted: false }
    }

    /// Shows how far the work has come.
    pub(crate) fn show(&mut self, progress: Progress) {
        let what = match progress.stage {
            Stage::Headers => "reading headers",
            Stage::Scales => "reading scales",
            Stage::Weights => "first verdict reached; sampling weights",
            Stage::Sites => "measuring sites",
            Stage::Blocks => "running blocks",
        };
        self.count(progress.done.into(), progress.total.into());
        self.bar.set_message(format!("{what} ({})", HumanBytes(progress.bytes_read)));
    }

    /// Writes a line above it, which stays.
    pub(crate) fn note(&self, message: &str) {
        let message = screen::for_stderr(&format!("note: {}", printable(message)));
        self.bar.suspend(|| anstream::eprintln!("{message}"));
    }

    /// Shows how many sites have been measured.
    pub(crate) fn show_sites(&mut self, done: usize, total: usize) {
        self.show_count("measuring sites", done, total);
    }

    /// Shows how many blocks of the model have been run.
    pub(crate) fn show_blocks(&mut self, done: usize, total: usize) {
        self.show_count("running blocks", done, total);
    }

    /// Shows on how many tokens the loss has been measured.
    pub(crate) fn show_losses(&mut self, done: usize, most: usize) {
        self.show_count("judging by loss, tokens", done, most);
    }

    /// Shows how many passes with a reader moved have been run.
    pub(crate) fn show_moves(&mut self, done: usize, total: usize) {
        self.show_count("moving readers", done, total);
    }

    /// Shows how many matrices have been searched for zeros.
    pub(crate) fn show_matrices(&mut self, done: usize, total: usize) {
        self.show_count("reading matrices", done, total);
    }

    /// Shows how many versions of a checkpoint have been run.
    pub(crate) fn show_versions(&mut self, done: usize, total: usize) {
        self.show_count("running versions", done, total);
    }

    /// Shows how many readers have been compared.
    pub(crate) fn show_readers(&mut self, done: usize, total: usize) {
        self.show_count("comparing readers", done, total);
    }

    /// Shows how many checkpoints have been inspected.
    pub(crate) fn show_checkpoints(&mut self, done: usize, total: usize) {
        self.show_count("inspecting checkpoints", done, total);
    }

    /// Shows how many bytes of a checkpoint have been written.
    pub(crate) fn show_written(&mut self, done: u64, total: u64) {
        self.count(done, total);
        self.bar.set_message("writing bytes");
    }

    fn show_count(&mut self, what: &'static str, done: usize, total: usize) {
        self.count(done as u64, total as u64);
        self.bar.set_message(what);
    }

    fn count(&mut self, done: u64, total: u64) {
        if !self.is_counted {
            self.is_counted = true;
            self.bar.set_style(style("{spinner} {msg} {pos}/{len} {wide_bar}"));
        }
        // One call sets both: a tick in between would show 9/4.
        self.bar.update(|state| {
            state.set_len(total);
            state.set_pos(done);
        });
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if let Some(clock) = self.clock.take() {
            clock.stop();
        }
        self.bar.finish_and_clear();
    }
}

impl Clock {
    fn start(bar: ProgressBar) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            if stopped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            }
        });
        Self { stop, thread }
    }

    /// Stops the clock. After this, the line does not appear any more.
    fn stop(self) {
        // An error means that the thread has already ended.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// Makes a style, or the default one if the template does not parse.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
