//! Looks up rows of a table, one for each token.

/// Copies row `ids[i]` of `table` (rows × `width`) to row i of the result, times `multiplier`. `None` if an id has no row.
pub fn gather(table: &[f32], width: usize, ids: &[u32], multiplier: f32) -> Option<Vec<f32>> {
    let mut x = Vec::with_capacity(ids.len() * width);
    for &id in ids {
        let row = table.get(id as usize * width..)?.get(..width)?;
        x.extend(row.iter().map(|value| value * multiplier));
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_token_and_none_beyond_the_table() {
        let table = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(gather(&table, 2, &[1, 0, 1], 0.5), Some(vec![1.5, 2.0, 0.5, 1.0, 1.5, 2.0]));
        assert_eq!(gather(&table, 2, &[2], 1.0), None);
    }
}
