//! A list of records as a table, column by column. Names of fields are written once, and similar values are next to each other, where
//! deflate finds them.
//!
//! A list of records with the same fields becomes `{"#": n, "columns": {field: column}}`. A column is a list of n values; `{"=": value}`
//! if they are all equal; `{"#": …}` if they are records themselves; or `{"lengths": […], "all": list}` if they are lists. No field of a
//! report is called `#`.

use super::ShareError;
use crate::checkpoint::json::VALUES_AN_OBJECT;
use serde_json::{Map, Value, json};

/// Most values in a link, including those that unpacking makes from it. This is enough for some thousand sites. Each value takes about
/// fifty bytes, and a record as much as [`VALUES_AN_OBJECT`].
pub(super) const MOST: usize = 600_000;

const ROWS: &str = "#";
const COLUMNS: &str = "columns";
const SAME: &str = "=";
const LENGTHS: &str = "lengths";
const ALL: &str = "all";

/// Packs every list of records, at any depth.
pub(super) fn packed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, packed(value))).collect())
        }
        Value::Array(items) => list(items),
        other => other,
    }
}

fn list(items: Vec<Value>) -> Value {
    let Some(fields) = items.first().and_then(Value::as_object) else {
        return items.into_iter().map(packed).collect();
    };
    let names: Vec<String> = fields.keys().cloned().collect();
    let alike = |item: &Value| item.as_object().is_some_and(|fields| fields.keys().eq(names.iter()));
    if names.is_empty() || !items.iter().all(alike) {
        return items.into_iter().map(packed).collect();
    }
    let rows = items.len();
    let mut columns: Map<String, Value> = Map::new();
    let mut records: Vec<Map<String, Value>> = items
        .into_iter()
        .filter_map(|item| if let Value::Object(fields) = item { Some(fields) } else { None })
        .collect();
    for name in names {
        let values = records.iter_mut().filter_map(|record| record.remove(&name)).collect();
        columns.insert(name, column(values));
    }
    json!({ ROWS: rows, COLUMNS: columns })
}

fn column(values: Vec<Value>) -> Value {
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return json!({ SAME: packed(values.into_iter().next().unwrap_or_default()) });
    }
    if values.iter().all(Value::is_array) {
        let lists: Vec<Vec<Value>> = values
            .into_iter()
            .map(|value| if let Value::Array(items) = value { items } else { Vec::new() })
            .collect();
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        return json!({ LENGTHS: lengths, ALL: list(lists.into_iter().flatten().collect()) });
    }
    // Records with different fields, or that only some rows have, stay a list.
    list(values)
}

/// Unpacks what [`packed`] made, and refuses anything else.
pub(super) fn unpacked(value: Value) -> Result<Value, ShareError> {
    Unpacking { left: MOST }.value(value)
}

struct Unpacking {
    /// How many more values may be made.
    left: usize,
}

impl Unpacking {
    fn spend(&mut self, values: usize) -> Result<(), ShareError> {
        self.left = self.left.checked_sub(values).ok_or(ShareError::TooLarge)?;
        Ok(())
    }

    fn value(&mut self, value: Value) -> Result<Value, ShareError> {
        match value {
            Value::Object(mut fields) if fields.contains_key(ROWS) => {
                let rows = number(fields.get(ROWS))?;
                let Some(Value::Object(columns)) = fields.remove(COLUMNS) else {
                    return Err(super::content("a table without columns"));
                };
                self.spend(rows.saturating_mul(columns.len().saturating_add(VALUES_AN_OBJECT)))?;
                let mut records = vec![Map::new(); rows];
                for (name, column) in columns {
                    for (record, value) in records.iter_mut().zip(self.column(column, rows)?) {
                        record.insert(name.clone(), value);
                    }
                }
                Ok(records.into_iter().map(Value::Object).collect())
            }
            Value::Object(fields) => {
                let fields: Result<_, ShareError> =
                    fields.into_iter().map(|(name, value)| Ok((name, self.value(value)?))).collect();
                Ok(Value::Object(fields?))
            }
            Value::Array(items) => {
                self.spend(items.len())?;
                items.into_iter().map(|item| self.value(item)).collect()
            }
            other => Ok(other),
        }
    }

    /// Returns the values of a column with `rows` rows.
    fn column(&mut self, column: Value, rows: usize) -> Result<Vec<Value>, ShareError> {
        let values = match column {
            Value::Object(mut fields) if fields.contains_key(SAME) => {
                let value = self.value(fields.remove(SAME).unwrap_or_default())?;
                self.spend(size(&value).saturating_mul(rows))?;
                vec![value; rows]
            }
            Value::Object(mut fields) if fields.contains_key(LENGTHS) => {
                let Some(Value::Array(lengths)) = fields.remove(LENGTHS) else {
                    return Err(super::content("lists without lengths"));
                };
                let mut all = self.list(fields.remove(ALL).unwrap_or_default())?.into_iter();
                let lists: Result<Vec<Value>, ShareError> = lengths
                    .iter()
                    .map(|length| Ok(all.by_ref().take(number(Some(length))?).collect()))
                    .collect();
                lists?
            }
            other => self.list(other)?,
        };
        match values.len() == rows {
            true => Ok(values),
            false => {
                Err(super::content(format!("a column of {} values in a table of {rows} rows", values.len())))
            }
        }
    }

    fn list(&mut self, value: Value) -> Result<Vec<Value>, ShareError> {
        match self.value(value)? {
            Value::Array(items) => Ok(items),
            _ => Err(super::content("a list is missing")),
        }
    }
}

/// Counts the values in a value, including itself.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => VALUES_AN_OBJECT + fields.values().map(size).sum::<usize>(),
        _ => 0,
    }
}

fn number(value: Option<&Value>) -> Result<usize, ShareError> {
    let number = value.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number <= MOST).ok_or_else(|| super::content("a table without a number of rows"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let record = proptest::collection::btree_map("[abc]", inner.clone(), 0..3);
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                record.prop_map(|fields| Value::Object(fields.into_iter().collect())),
                (proptest::collection::vec((inner.clone(), inner), 1..5))
                    .prop_map(|rows| { rows.into_iter().map(|(a, b)| json!({ "a": a, "b": b })).collect() }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(value in values()) {
            prop_assert_eq!(unpacked(packed(value.clone())).unwrap(), value);
        }
    }

    #[test]
    fn a_list_of_records_is_a_table() {
        let value = json!([{ "a": 1, "b": [1, 2], "c": "x" }, { "a": 2, "b": [], "c": "x" }]);
        let table = json!({ "#": 2, "columns": { "a": [1, 2], "b": { "lengths": [2, 0], "all": [1, 2] }, "c": { "=": "x" } } });
        assert_eq!(packed(value), table);
    }

    #[test]
    fn a_table_that_says_it_is_huge_is_refused() {
        for (rows, column) in
            [(u64::MAX, json!({ "=": 1 })), (10_000_000, json!({ "=": [1, 2, 3] })), (3, json!([1]))]
        {
            assert!(unpacked(json!({ "#": rows, "columns": { "a": column } })).is_err(), "{rows}");
        }
    }
}
