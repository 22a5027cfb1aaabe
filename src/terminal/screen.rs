//! Standard output as lines of a terminal: wrapped at words, with the rest of a long line indented.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use terminal_size::{Width, terminal_size_of};
use textwrap::{Options, WordSplitter, WrapAlgorithm};

/// The width if nothing says another.
const USUAL: usize = 80;
/// A narrower terminal gets lines of this width.
const NARROWEST: usize = 40;
/// How much further the rest of a wrapped line is indented.
const HANGING: usize = 2;

/// Set by `--wide`.
static WIDE: AtomicBool = AtomicBool::new(false);

/// Sets whether lines may have any length (`--wide`).
pub(crate) fn set_wide(wide: bool) {
    WIDE.store(wide, Ordering::Relaxed);
}

/// Lines that go to `out`, no wider than `width`.
pub(crate) struct Screen<W: Write> {
    out: W,
    width: Option<usize>,
    line: Vec<u8>,
}

/// Standard output, as wide as its terminal. Behind a pipe or in a file it is 80 columns wide, or as wide as COLUMNS says.
pub(crate) fn stdout() -> Screen<anstream::AutoStream<io::StdoutLock<'static>>> {
    let stdout = io::stdout();
    let terminal = terminal_size_of(&stdout).map(|(Width(columns), _)| columns.into());
    let width = columns().or(terminal).unwrap_or(USUAL).max(NARROWEST);
    let wide = WIDE.load(Ordering::Relaxed);
    Screen::new(anstream::stdout().lock(), (!wide).then_some(width))
}

/// Prepares a message for standard error. A log gets it as one line, a terminal wrapped.
pub(crate) fn for_stderr(message: &str) -> String {
    let stderr = io::stderr();
    match terminal_size_of(&stderr).filter(|_| stderr.is_terminal()) {
        Some((Width(columns), _)) => wrapped(message, "", usize::from(columns).max(NARROWEST)),
        None => message.to_owned(),
    }
}

fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|&columns| columns > 0)
}

impl<W: Write> Screen<W> {
    /// Makes a screen with lines of at most `width` columns, or of any length.
    pub(crate) fn new(out: W, width: Option<usize>) -> Self {
        Self { out, width, line: Vec::new() }
    }

    /// Columns of the screen. `None` if a line may have any length.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes lines that are already laid out.
    pub(crate) fn verbatim(&mut self, lines: &str) -> io::Result<()> {
        writeln!(self.out, "{lines}")
    }

    /// Writes a line after a label. The rest of the line is aligned below its beginning.
    pub(crate) fn labelled(&mut self, label: &str, text: &str) -> io::Result<()> {
        match self.width {
            Some(width) => {
                let indent = " ".repeat(textwrap::core::display_width(label));
                writeln!(self.out, "{}", fill(text, label, &indent, width))
            }
            None => writeln!(self.out, "{label}{text}"),
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        match self.width {
            Some(width) => writeln!(self.out, "{}", wrapped_line(&text, width)),
            None => writeln!(self.out, "{text}"),
        }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', rest)) => {
                    self.line.extend(rest);
                    self.end_line()?;
                }
                _ => self.line.extend(piece),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Wraps one line, and keeps its indentation.
fn wrapped_line(line: &str, width: usize) -> String {
    let text = line.trim_start_matches(' ');
    wrapped(text, &line[..line.len() - text.len()], width)
}

fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let rest = format!("{indent}{}", " ".repeat(HANGING));
    fill(text, indent, &rest, width)
}

/// Wraps text. A number stays with its sign and unit. Names and paths are never cut, so that they can be copied.
fn fill(text: &str, first: &str, rest: &str, width: usize) -> String {
    const KEPT: [(&str, &str); 3] = [(" %", "\u{a0}%"), ("× ", "×\u{a0}"), (" ×", "\u{a0}×")];
    let joined = KEPT.iter().fold(text.to_owned(), |text, (apart, joined)| text.replace(apart, joined));
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::fill(&joined, options).replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>, text: &str) -> String {
        let mut screen = Screen::new(Vec::new(), width);
        write!(screen, "{text}").unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_long_line_is_wrapped_at_words_and_its_rest_is_indented() {
        let text = "  one two three four five\nsix\n";
        assert_eq!(written(Some(16), text), "  one two three\n    four five\nsix\n");
        assert_eq!(written(None, text), text);
    }

    #[test]
    fn colours_take_no_room_and_numbers_keep_their_units() {
        assert_eq!(written(Some(9), "\u{1b}[2mone two\u{1b}[0m\n"), "\u{1b}[2mone two\u{1b}[0m\n");
        assert_eq!(written(Some(11), "it is 0.2 %\nso it is 0.2 %\n"), "it is 0.2 %\nso it is\n  0.2 %\n");
    }

    #[test]
    fn a_path_is_not_cut() {
        let path = "/a/long-path/that-is/longer-than/the-line";
        assert_eq!(written(Some(20), &format!("at {path} it is\n")), format!("at\n  {path}\n  it is\n"));
    }

    #[test]
    fn the_rest_of_a_labelled_line_stands_below_its_beginning() {
        let mut screen = Screen::new(Vec::new(), Some(20));
        screen.labelled("Time    ", "about three minutes").unwrap();
        assert_eq!(String::from_utf8(screen.out).unwrap(), "Time    about three\n        minutes\n");
    }
}
