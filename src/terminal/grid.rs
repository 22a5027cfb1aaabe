//! A table that fits its screen. Columns with the same value in every row become one line, long names lose their beginning, and the least
//! important columns are left out.

use super::screen::Screen;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use std::collections::HashSet;
use std::io::{self, Write};
use textwrap::core::display_width;

/// Columns that a name keeps before another column is left out.
const NAME: usize = 32;
/// Columns that a name keeps in any case.
const LEAST_NAME: usize = 12;
/// Columns of space around a cell.
const PADDING: usize = 2;

/// One column of a table.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    /// Rank among the columns: the one with the greatest number is left out first.
    order: u8,
    is_text: bool,
}

/// A column of words.
pub(crate) fn text(heading: &'static str, order: u8) -> Column {
    Column { heading, order, is_text: true }
}

/// A column of numbers, aligned to the right.
pub(crate) fn number(heading: &'static str, order: u8) -> Column {
    Column { heading, order, is_text: false }
}

/// A table whose first column has names.
pub(crate) struct Grid {
    names: String,
    columns: Vec<(String, u8, bool)>,
    rows: Vec<(String, Vec<String>)>,
    total: Option<Vec<String>>,
}

impl Grid {
    /// Makes a table without rows. `names` is the heading of the names.
    pub(crate) fn new(names: &str, columns: &[Column]) -> Self {
        let columns =
            columns.iter().map(|column| (column.heading.to_owned(), column.order, column.is_text)).collect();
        Self { names: names.to_owned(), columns, rows: Vec::new(), total: None }
    }

    /// Adds a column of numbers with a computed heading.
    pub(crate) fn add_column(&mut self, heading: String, order: u8) {
        self.columns.push((heading, order, false));
    }

    /// Adds a row: a name, and a cell for each column.
    pub(crate) fn row(&mut self, name: String, cells: Vec<String>) {
        self.rows.push((name, cells));
    }

    /// Sets a last row that adds up the others.
    pub(crate) fn total(&mut self, cells: Vec<String>) {
        self.total = Some(cells);
    }

    /// Writes the table, and below it a line about the columns that were left out.
    pub(crate) fn write(&self, out: &mut Screen<impl Write>) -> io::Result<()> {
        let Some(width) = out.width() else {
            let all: Vec<usize> = (0..self.columns.len()).collect();
            return out.verbatim(&format!("\n{}", self.table(&all, usize::MAX)));
        };
        let (mut shown, same) = self.without_constants();
        let mut left_out = Vec::new();
        let least = self.least_name();
        let name = loop {
            let room = width
                .saturating_sub(PADDING + shown.iter().map(|&at| self.width_of(at) + PADDING).sum::<usize>());
            let last = shown.iter().copied().max_by_key(|&at| (self.columns[at].1, at));
            match last.filter(|_| room < least) {
                Some(last) => {
                    shown.retain(|&at| at != last);
                    left_out.push(last);
                }
                None => break room.max(LEAST_NAME),
            }
        };
        out.verbatim(&format!("\n{}", self.table(&shown, name)))?;
        if !same.is_empty() {
            writeln!(out, "All: {}", same.join(", "))?;
        }
        if !left_out.is_empty() {
            left_out.sort_unstable();
            let headings: Vec<&str> = left_out.iter().map(|&at| self.columns[at].0.as_str()).collect();
            writeln!(out, "Not shown: {} (--wide shows every column)", headings.join(", "))?;
        }
        Ok(())
    }

    /// Returns the columns that differ from row to row, and the values of the others as text.
    fn without_constants(&self) -> (Vec<usize>, Vec<String>) {
        let all = || self.rows.iter().map(|(_, cells)| cells).chain(&self.total);
        let value = |at: usize| self.rows.first().map_or("", |(_, cells)| cells[at].as_str());
        let is_constant = |at: usize| self.rows.len() > 1 && all().all(|cells| cells[at] == value(at));
        let (constant, shown): (Vec<usize>, Vec<usize>) =
            (0..self.columns.len()).partition(|&at| is_constant(at));
        let says = |&at: &usize| !matches!(value(at), "" | ABSENT);
        let same = constant.into_iter().filter(says);
        (shown, same.map(|at| format!("{} {}", self.columns[at].0, value(at))).collect())
    }

    fn width_of(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|(_, cells)| cells).chain(&self.total);
        cells
            .map(|cells| display_width(&cells[at]))
            .chain([display_width(&self.columns[at].0)])
            .max()
            .unwrap_or(0)
    }

    /// The least width at which all shortened names still differ.
    fn least_name(&self) -> usize {
        let names: HashSet<&str> = self.rows.iter().map(|(name, _)| name.as_str()).collect();
        let full = names.iter().map(|name| display_width(name)).max().unwrap_or(0);
        let differ = |width: &usize| {
            let short: HashSet<String> = names.iter().map(|name| shortened(name, *width)).collect();
            short.len() == names.len()
        };
        (NAME.min(full)..=full).find(differ).unwrap_or(full)
    }

    fn table(&self, shown: &[usize], name: usize) -> String {
        let mut table = Table::new();
        let of = |name: String, cells: &[String]| {
            [name].into_iter().chain(shown.iter().map(|&at| cells[at].clone())).collect::<Vec<_>>()
        };
        let headings: Vec<String> = self.columns.iter().map(|(heading, ..)| heading.clone()).collect();
        table.load_style(NOTHING).set_header(of(self.names.clone(), &headings));
        for (full, cells) in &self.rows {
            table.add_row(of(shortened(full, name), cells));
        }
        if let Some(total) = &self.total {
            table.add_row(of("all".to_owned(), total));
        }
        for (column, &at) in shown.iter().enumerate() {
            if let Some(column) = table.column_mut(column + 1).filter(|_| !self.columns[at].2) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }
}

/// A cell without a value.
pub(crate) const ABSENT: &str = "–";

/// Returns the end of a name that is too long, cut at the start of a module: `…layer.3.output.LayerNorm`.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    if display_width(name) <= width {
        return name.to_owned();
    }
    let fits = |end: &&str| display_width(end) < width;
    let modules = name.match_indices(['.', '/']).map(|(at, dot)| &name[at + dot.len()..]);
    let letters = name.char_indices().map(|(at, _)| &name[at..]);
    let end = modules.chain(letters).find(fits).unwrap_or_default();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: &[(&str, [&str; 3])]) -> Grid {
        let mut grid = Grid::new("site", &[text("kind", 2), number("width", 1), number("gap", 3)]);
        for (name, cells) in rows {
            grid.row((*name).to_owned(), cells.map(str::to_owned).to_vec());
        }
        grid
    }

    fn lines(grid: &Grid, width: Option<usize>) -> Vec<String> {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, width);
        grid.write(&mut screen).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().filter(|line| !line.is_empty()).map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_column_with_one_value_is_written_once() {
        let rows = [("a.norm", ["rms", "4", "1"]), ("b.norm", ["rms", "8", "–"])];
        let short = lines(&grid(&rows), Some(80));
        assert_eq!(short[0].split_whitespace().collect::<Vec<_>>(), ["site", "width", "gap"]);
        assert_eq!(short.last().unwrap(), "All: kind rms");
        let wide = lines(&grid(&rows), None);
        assert_eq!(wide[0].split_whitespace().collect::<Vec<_>>(), ["site", "kind", "width", "gap"]);
        assert_eq!(wide.len(), 3);
    }

    #[test]
    fn the_least_important_column_is_left_out_and_named() {
        let rows = [("a.norm", ["rms", "4", "1234567890"]), ("b.norm", ["other", "8", "2"])];
        let narrow = lines(&grid(&rows), Some(26));
        assert_eq!(narrow[0].split_whitespace().collect::<Vec<_>>(), ["site", "kind", "width"]);
        assert!(narrow[3..].join(" ").starts_with("Not shown: gap"), "{narrow:?}");
    }

    #[test]
    fn names_lose_their_beginning_and_stay_different() {
        let name = "model.encoder.layer.3.output.LayerNorm";
        assert_eq!(shortened(name, 30), "…layer.3.output.LayerNorm");
        assert_eq!(shortened("averyveryverylongname", 8), "…ongname");
        let long =
            |tower: &str| format!("{tower}.encoder.a_stack_of_blocks.layer.attention.output.LayerNorm");
        let (text, vision) = (long("text"), long("vision"));
        let rows = [(text.as_str(), ["rms", "4", "1"]), (vision.as_str(), ["ln", "8", "2"])];
        let lines = lines(&grid(&rows), Some(80));
        assert!(lines[1].contains("text.") && lines[2].contains("vision."), "{lines:?}");
        assert!(lines.iter().all(|line| display_width(line) <= 80));
    }
}
