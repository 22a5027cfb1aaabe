//! A progress line, if the work takes longer than a second and the output is a terminal.

use gammascope::inspect::{Progress, Stage};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(1);

/// The line on stderr; nothing at all when stderr is no terminal.
pub(crate) struct Line {
    started: Instant,
    bar: Option<ProgressBar>,
    silent: bool,
}

impl Line {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), bar: None, silent: false }
    }

    /// A line that is never shown: where several checkpoints are read at once, one line shows them all.
    pub(crate) fn silent() -> Self {
        Self { silent: true, ..Self::new() }
    }

    fn waits(&self) -> bool {
        self.silent || self.started.elapsed() < PATIENCE || !std::io::stderr().is_terminal()
    }

    /// Shows how far the work has come.
    pub(crate) fn show(&mut self, progress: Progress) {
        if self.waits() {
            return;
        }
        let bar = self.bar();
        let what = match progress.stage {
            Stage::Headers => "reading headers",
            Stage::Scales => "reading scales",
            Stage::Weights => "first verdict reached; sampling weights",
            Stage::Sites => "measuring sites",
            Stage::Blocks => "running blocks",
        };
        bar.set_message(format!("{what} ({})", HumanBytes(progress.bytes_read)));
        bar.set_length(progress.total.into());
        bar.set_position(progress.done.into());
    }

    /// Shows how many sites have been measured.
    pub(crate) fn show_sites(&mut self, done: usize, total: usize) {
        self.show_count("measuring sites", done, total);
    }

    /// Shows how many blocks of the model have been run.
    pub(crate) fn show_blocks(&mut self, done: usize, total: usize) {
        self.show_count("running blocks", done, total);
    }

    /// Shows on how many tokens the kind is judged by loss.
    pub(crate) fn show_losses(&mut self, done: usize, most: usize) {
        self.show_count("judging by loss, tokens", done, most);
    }

    /// Shows how many passes with a reader moved have been run.
    pub(crate) fn show_moves(&mut self, done: usize, total: usize) {
        self.show_count("moving readers", done, total);
    }

    /// Shows how many checkpoints have been inspected.
    pub(crate) fn show_checkpoints(&mut self, done: usize, total: usize) {
        self.show_count("inspecting checkpoints", done, total);
    }

    fn show_count(&mut self, what: &'static str, done: usize, total: usize) {
        if self.waits() {
            return;
        }
        let bar = self.bar();
        bar.set_message(what);
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    }

    fn bar(&mut self) -> &mut ProgressBar {
        self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{msg} {pos}/{len} {wide_bar}") {
                bar.set_style(style);
            }
            bar
        })
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
