//! The lines of a scan as a Parquet table: a row for each norm site, or one row for a checkpoint without any. Columns are nullable.

use super::output;
use gammascope::report::scan::ScanLine;
use gammascope::report::{NormReport, Report};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// A value of a row.
enum Value {
    Text(Option<String>),
    Whole(Option<i64>),
    Number(Option<f64>),
}

/// The values of a column.
enum Column {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

/// Writes the lines of `file` (at `from`) as a table to `to`. Returns the number of rows.
pub(crate) fn write(file: &mut File, from: &Path, to: &Path) -> Result<usize, String> {
    let (names, columns) = read(file, from)?;
    let rows = columns.first().map_or(0, Column::len);
    let save = |file: &mut File| save(file, &names, &columns);
    let written: Result<(), ParquetError> = output::whole(to, save);
    written.map_err(|error| format!("`{}` cannot be written: {error}; check the folder", to.display()))?;
    Ok(rows)
}

/// Reads the rows of all lines, column by column.
fn read(file: &mut File, from: &Path) -> Result<(Vec<&'static str>, Vec<Column>), String> {
    let refuse = |what: String| format!("`{}` cannot be made a table: {what}", from.display());
    file.seek(SeekFrom::Start(0)).map_err(|error| refuse(error.to_string()))?;
    let (mut names, mut columns): (Vec<&str>, Vec<Column>) = Default::default();
    let mut add = |row: Vec<(&'static str, Value)>| {
        if columns.is_empty() {
            names = row.iter().map(|(name, _)| *name).collect();
            columns = row.iter().map(|(_, value)| Column::of(value)).collect();
        }
        for (column, (_, value)) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    };
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| refuse(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: ScanLine = serde_json::from_str(&line)
            .map_err(|error| refuse(format!("line {} is not a line of a scan ({error})", number + 1)))?;
        match &line.report {
            Some(report) if !report.norms.is_empty() => {
                report.norms.iter().for_each(|norm| add(row(&line, Some(report), Some(norm))));
            }
            report => add(row(&line, report.as_ref(), None)),
        }
    }
    Ok((names, columns))
}

/// Makes one row. Its list defines the columns.
fn row(line: &ScanLine, report: Option<&Report>, norm: Option<&NormReport>) -> Vec<(&'static str, Value)> {
    let text = |value: Option<&str>| Value::Text(value.map(str::to_owned));
    let whole = |value: Option<u64>| Value::Whole(value.and_then(|value| value.try_into().ok()));
    let kernel = norm.map(|norm| &norm.kernel);
    let dead = |of: fn(&gammascope::report::DeadDirections) -> u64| {
        whole(norm.map(|norm| norm.readers.iter().map(|reader| of(&reader.dead)).sum()))
    };
    vec![
        ("path", text(Some(&line.path))),
        ("error", text(line.error.as_deref())),
        ("checkpoint", text(report.map(|report| report.checkpoint.name.as_str()))),
        ("format", text(report.map(|report| report.checkpoint.format.as_str()))),
        ("parameters", whole(report.map(|report| report.checkpoint.parameters))),
        ("family", text(report.and_then(|report| report.model.family.as_deref()))),
        ("model_verdict", word(report.map(|report| report.model.verdict))),
        ("site", text(norm.map(|norm| norm.name.as_str()))),
        ("role", word(norm.map(|norm| norm.role))),
        ("block", whole(norm.and_then(|norm| norm.block).map(u64::from))),
        ("part", text(norm.and_then(|norm| norm.part.as_deref()))),
        ("width", whole(norm.map(|norm| norm.width))),
        ("kind", word(norm.map(|norm| norm.kind))),
        ("confidence", Value::Number(norm.map(|norm| norm.confidence))),
        ("scale_convention", word(norm.map(|norm| norm.scale_convention))),
        ("kernel_form", word(kernel.map(|kernel| kernel.form))),
        ("zero_channels", whole(kernel.map(|kernel| kernel.coordinates.len() as u64))),
        ("near_dead_channels", whole(kernel.map(|kernel| kernel.near_dead.len() as u64))),
        ("participation", Value::Number(kernel.and_then(|kernel| kernel.participation))),
        ("max_component", Value::Number(kernel.and_then(|kernel| kernel.max_component))),
        ("max_index", whole(kernel.and_then(|kernel| kernel.max_index).map(u64::from))),
        ("deepening", Value::Number(kernel.and_then(|kernel| kernel.deepening))),
        ("condition", Value::Number(kernel.and_then(|kernel| kernel.condition))),
        ("scale_min_abs", Value::Number(kernel.and_then(|kernel| kernel.scale_min_abs))),
        ("scale_median_abs", Value::Number(kernel.and_then(|kernel| kernel.scale_median_abs))),
        ("scale_max_abs", Value::Number(kernel.and_then(|kernel| kernel.scale_max_abs))),
        ("predicted_below_tau", whole(kernel.and_then(|kernel| kernel.predicted_below_tau).map(u64::from))),
        ("readers", whole(norm.map(|norm| norm.readers.len() as u64))),
        ("dead_outright", dead(|dead| dead.outright)),
        ("dead_with_bias_shift", dead(|dead| dead.with_bias_shift)),
        ("dead_constant_shift", dead(|dead| dead.constant_shift)),
        ("dead_tied", dead(|dead| dead.tied)),
    ]
}

/// Returns a name as in the report's JSON.
fn word(value: Option<impl Serialize>) -> Value {
    let json = value.and_then(|value| serde_json::to_value(value).ok());
    Value::Text(json.and_then(|json| json.as_str().map(str::to_owned)))
}

impl Column {
    /// Makes an empty column for values like this one.
    fn of(value: &Value) -> Self {
        match value {
            Value::Text(_) => Self::Text(Vec::new()),
            Value::Whole(_) => Self::Whole(Vec::new()),
            Value::Number(_) => Self::Number(Vec::new()),
        }
    }

    /// Adds a value. One place in [`row`] fills each column, so a column has one type.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Text(values), Value::Text(value)) => values.push(value),
            (Self::Whole(values), Value::Whole(value)) => values.push(value),
            (Self::Number(values), Value::Number(value)) => values.push(value),
            _ => debug_assert!(false, "a column changed its type"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Number(values) => values.len(),
        }
    }

    fn field(&self, name: &str) -> Result<Type, ParquetError> {
        let (physical, logical) = match self {
            Self::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Self::Whole(_) => (Physical::INT64, None),
            Self::Number(_) => (Physical::DOUBLE, None),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build()
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>) -> Result<usize, ParquetError> {
        match self {
            Self::Text(values) => {
                let (there, levels) = split(values, |text| ByteArray::from(text.as_str()));
                writer.typed::<ByteArrayType>().write_batch(&there, Some(&levels), None)
            }
            Self::Whole(values) => {
                let (there, levels) = split(values, |value| *value);
                writer.typed::<Int64Type>().write_batch(&there, Some(&levels), None)
            }
            Self::Number(values) => {
                let (there, levels) = split(values, |value| *value);
                writer.typed::<DoubleType>().write_batch(&there, Some(&levels), None)
            }
        }
    }
}

/// Returns the present values, and for each row whether it has one.
fn split<T, To>(values: &[Option<T>], convert: impl Fn(&T) -> To) -> (Vec<To>, Vec<i16>) {
    let levels = values.iter().map(|value| i16::from(value.is_some())).collect();
    (values.iter().flatten().map(convert).collect(), levels)
}

fn save(file: &mut File, names: &[&str], columns: &[Column]) -> Result<(), ParquetError> {
    let named = names.iter().zip(columns);
    let fields = named.map(|(name, column)| column.field(name).map(Arc::new)).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("norm_sites").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build()))?;
    let mut rows = writer.next_row_group()?;
    for column in columns {
        if let Some(mut writer) = rows.next_column()? {
            column.write(&mut writer)?;
            writer.close()?;
        }
    }
    rows.close()?;
    writer.close().map(|_| ())
}
