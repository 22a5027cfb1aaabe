//! Sites of like name over the blocks as one row: `encoder.layer.*.output.LayerNorm ×6`, with the range of each number.

use super::grid::ABSENT;

/// Rows that are printed as one.
pub(crate) struct Like {
    /// Their common name and their count.
    pub(crate) name: String,
    /// Their places, in order.
    pub(crate) places: Vec<usize>,
}

/// Groups names that differ only in numbers and have the same `key`. With `all`, each name is a separate group.
pub(crate) fn rows<K: PartialEq>(names: &[&str], key: impl Fn(usize) -> K, all: bool) -> Vec<Like> {
    let mut rows: Vec<(String, K, Vec<usize>)> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let (stars, key) = (without_numbers(name), key(place));
        let same = rows.iter_mut().find(|row| !all && row.0 == stars && row.1 == key);
        match same {
            Some((_, _, places)) => places.push(place),
            None => rows.push((stars, key, vec![place])),
        }
    }
    rows.into_iter().map(|(_, _, places)| Like { name: common(names, &places), places }).collect()
}

/// Returns the names at `places` as one, with a star where their numbers differ.
fn common(names: &[&str], places: &[usize]) -> String {
    let first = names[places[0]];
    if places.len() == 1 {
        return first.to_owned();
    }
    let parts: Vec<Vec<&str>> = places.iter().map(|&place| names[place].split('.').collect()).collect();
    let part = |at: usize| {
        let same = parts.iter().all(|other| other[at] == parts[0][at]);
        if same { parts[0][at] } else { "*" }
    };
    let joined: Vec<&str> = (0..parts[0].len()).map(part).collect();
    format!("{} ×{}", joined.join("."), places.len())
}

/// Returns a name with a star for each number.
pub(crate) fn without_numbers(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.split('.').map(|part| if is_number(part) { "*" } else { part }).collect::<Vec<_>>().join(".")
}

/// Returns the range of some numbers, each formatted with `write`. A dash if there is none.
pub(crate) fn range(values: impl IntoIterator<Item = Option<f64>>, write: impl Fn(f64) -> String) -> String {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.into_iter().flatten() {
        (least, most) = (least.min(value), most.max(value));
    }
    if least > most {
        return ABSENT.to_owned();
    }
    let (least, most) = (write(least), write(most));
    if least == most { least } else { format!("{least}–{most}") }
}

/// Returns the range of counts.
pub(crate) fn counts(values: impl IntoIterator<Item = Option<u64>>) -> String {
    range(values.into_iter().map(|value| value.map(|value| value as f64)), |value| format!("{value}"))
}

/// Formats a number with three digits.
pub(crate) fn brief(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e4).contains(&size) {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_of_like_name_are_one_row_with_a_star_where_they_differ() {
        let names = ["emb.norm", "l.0.b.0.n1", "l.0.b.0.n2", "l.0.b.1.n1", "l.0.b.1.n2", "norm"];
        let found = rows(&names, |_| (), false);
        let told: Vec<&str> = found.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(told, ["emb.norm", "l.0.b.*.n1 ×2", "l.0.b.*.n2 ×2", "norm"]);
        assert_eq!(found[1].places, [1, 3]);
        assert_eq!(rows(&names, |_| (), true).len(), 6);
        assert_eq!(rows(&names, |place| place == 3, false).len(), 5, "another kind, another row");
    }

    #[test]
    fn numbers_are_written_as_a_range() {
        assert_eq!(range([Some(0.25), None, Some(1.5)], brief), "0.250–1.50");
        assert_eq!(range([Some(1.0), Some(1.0)], brief), "1.00");
        assert_eq!(range([None], brief), ABSENT);
        assert_eq!(counts([Some(3), Some(0)]), "0–3");
        assert_eq!(
            ["0", "4.8e-33", "62.5", "585"],
            [0.0, 4.795e-33, 62.5, 585.0].map(brief).each_ref().map(String::as_str)
        );
    }
}
