//! The data of a figure as a table.

use crate::report::words::spelled_out;
use serde::Serialize;

/// The data of a figure: everything that it draws, and everything that it had to thin out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Table {
    /// Columns, one for each cell of a row.
    pub columns: Vec<Column>,
    /// The data.
    pub rows: Vec<Vec<Cell>>,
}

/// One column of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Unit of its numbers, if they have one.
    pub unit: Option<String>,
}

/// One value of a table: a number, a string or null in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum Cell {
    /// A finite number. Build it with [`Cell::from`], which turns other numbers into text.
    Number(f64),
    /// Text from the checkpoint. Escape it before it goes into markup.
    Text(String),
    /// Not applicable.
    Empty,
}

impl From<f64> for Cell {
    /// JSON has no infinities and no NaN. An infinity becomes text, and NaN an empty cell.
    fn from(value: f64) -> Self {
        if value.is_finite() {
            Self::Number(value)
        } else if value.is_nan() {
            Self::Empty
        } else {
            Self::Text(if value > 0.0 { "infinite" } else { "-infinite" }.to_owned())
        }
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Number(value as f64)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    /// The shortest text that reads back as the same number.
    fn to_csv(&self) -> String {
        match self {
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value}"),
            Self::Number(value) => format!("{value:?}"),
            Self::Text(text) => plain(text),
            Self::Empty => String::new(),
        }
    }
}

/// Protects text from being read as a formula: if it begins like one, it gets an apostrophe, which marks text in spreadsheets. Invisible
/// characters are escaped.
fn plain(text: &str) -> String {
    let text = spelled_out(text);
    match text.starts_with(['=', '+', '-', '@']) && text != "-infinite" {
        true => format!("'{text}"),
        false => text.into_owned(),
    }
}

impl Table {
    /// Makes an empty table of columns given as (name, unit). An empty unit means none.
    pub(super) fn new(columns: &[(&str, &str)]) -> Self {
        let column = |&(name, unit): &(&str, &str)| Column {
            name: name.to_owned(),
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Removes the column of this name.
    pub(super) fn leave_out(&mut self, name: &str) {
        if let Some(at) = self.columns.iter().position(|column| column.name == name) {
            self.columns.remove(at);
            self.rows.iter_mut().for_each(|row| {
                row.remove(at);
            });
        }
    }

    /// Returns the table as comma-separated values (RFC 4180), with headings "name (unit)" first. The crate `csv` would add the standard
    /// library's parsing of floats, 15 kB of the page. The tests read these tables with it.
    pub fn csv(&self) -> String {
        let headings = self.columns.iter().map(|column| match &column.unit {
            Some(unit) => format!("{} ({unit})", column.name),
            None => column.name.clone(),
        });
        let mut text = String::new();
        write_record(&mut text, headings);
        for row in &self.rows {
            write_record(&mut text, row.iter().map(Cell::to_csv));
        }
        text
    }
}

/// Writes one line. A field is quoted if it contains a separator.
fn write_record(text: &mut String, fields: impl Iterator<Item = String>) {
    let start = text.len();
    for (index, field) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&field);
        }
    }
    if text.len() == start {
        // An empty line would be no record.
        text.push_str("\"\"");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_csv_with_units_and_quotes() {
        let mut table = Table::new(&[("site", ""), ("participation", "channels")]);
        table.rows.push(vec![Cell::from("a,\"b\""), Cell::from(4.8e-33)]);
        table.rows.push(vec![Cell::from("c"), Cell::Empty]);
        table.rows.push(vec![Cell::from("d"), Cell::from(384_usize)]);
        assert_eq!(table.csv(), "site,participation (channels)\n\"a,\"\"b\"\"\",4.8e-33\nc,\nd,384\n");
    }

    #[test]
    fn a_name_is_no_formula_and_no_control_of_a_terminal() {
        let mut table = Table::new(&[("site", ""), ("depth", "")]);
        for name in ["=1+2", "+1", "@SUM(A1)", "-cmd", "a=b", "\t=1", "\u{1b}[31m\u{202e}x\0"] {
            table.rows.push(vec![Cell::from(name), Cell::from(-0.5)]);
        }
        let csv = table.csv();
        let lines: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "'=1+2,-0.5",
                "'+1,-0.5",
                "'@SUM(A1),-0.5",
                "'-cmd,-0.5",
                "a=b,-0.5",
                "\\u{9}=1,-0.5",
                "\\u{1b}[31m\\u{202e}x\\u{0},-0.5"
            ]
        );
    }

    #[test]
    fn numbers_that_json_lacks_become_text_or_null() {
        let cells = [1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Cell::from);
        assert_eq!(serde_json::to_string(&cells).unwrap(), r#"[1.5,"infinite","-infinite",null]"#);
        assert_eq!(serde_json::to_string(&Cell::Number(f64::NAN)).unwrap(), "null");
    }
}
