//! Divides the rows of a matrix among the cores.

/// Calls `work` with the number of the first row and the rows of each part of `matrix` (rows × `width`), on all cores at once. In a
/// browser the wasm has no threads, so `work` gets the whole matrix.
pub fn in_parallel<Number: Send>(
    matrix: &mut [Number],
    width: usize,
    work: impl Fn(usize, &mut [Number]) + Sync,
) {
    let rows = matrix.len().checked_div(width).unwrap_or(0);
    let threads = threads().min(rows).max(1);
    if threads == 1 {
        return work(0, matrix);
    }
    let each = rows.div_ceil(threads);
    std::thread::scope(|scope| {
        for (part, rows) in matrix.chunks_mut(each * width).enumerate() {
            let work = &work;
            scope.spawn(move || work(part * each, rows));
        }
    });
}

fn threads() -> usize {
    if cfg!(target_arch = "wasm32") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_visited_once_whatever_the_cores() {
        for rows in [0, 1, 2, 7, 64] {
            let mut matrix = vec![0; rows * 3];
            in_parallel(&mut matrix, 3, |first, part| {
                for (row, values) in part.chunks_mut(3).enumerate() {
                    values.fill(first + row + 1);
                }
            });
            let expected: Vec<usize> = (0..rows).flat_map(|row| [row + 1; 3]).collect();
            assert_eq!(matrix, expected);
        }
    }
}
