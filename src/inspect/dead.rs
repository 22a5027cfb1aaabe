//! Dead parameter directions of each reader, and their sums.

use crate::checkpoint::Checkpoint;
use crate::kernel::dead::{self, Classes};
use crate::kernel::direction::Kernel;
use crate::reader::{self, Readers};
use crate::report::{DeadDirections, DeadParameters, KernelForm, NormReport, ReaderReport, ReaderUse};

/// The readers of one site with their dead directions. `has_shift` is true for a shift even if its values could not be read. Then
/// it is taken as one that matters.
pub(super) fn reader_reports<S>(
    checkpoint: &Checkpoint<S>,
    kernel: Option<&Kernel>,
    has_shift: bool,
    shift: Option<&[f64]>,
    readers: &Readers,
) -> Vec<ReaderReport> {
    let meets =
        has_shift && shift.is_none_or(|shift| kernel.is_some_and(|kernel| shift_meets(kernel, shift)));
    readers
        .found
        .iter()
        .map(|reader| {
            let tensor = &checkpoint.tensors[reader.weight];
            let stored = |name| checkpoint.stored_name(name).to_owned();
            ReaderReport {
                name: stored(&tensor.name),
                used_as: reader.used_as,
                rows: reader.rows,
                parameters: tensor.elements(),
                bias: reader.bias.map(|bias| stored(&checkpoint.tensors[bias].name)),
                dead: kernel
                    .map_or_else(DeadDirections::default, |kernel| dead_directions(kernel, meets, reader)),
                assumed: reader.assumed.clone(),
            }
        })
        .collect()
}

/// Whether uᵀβ ≠ 0 for some u in the kernel. A β that is not zero but happens to be orthogonal to v counts as meeting it, which
/// is the cautious class.
fn shift_meets(kernel: &Kernel, shift: &[f64]) -> bool {
    match kernel {
        Kernel::InverseScale(_) => shift.iter().any(|&value| value != 0.0),
        Kernel::Coordinates(zeros) => zeros.iter().any(|&index| shift.get(index) != Some(&0.0)),
        Kernel::None => false,
    }
}

fn dead_directions(kernel: &Kernel, shift_meets_kernel: bool, reader: &reader::Reader) -> DeadDirections {
    let dimension = kernel.dimension() as u64;
    if reader.used_as == ReaderUse::TiedUnembedding {
        return DeadDirections { tied: reader.rows * dimension, ..DeadDirections::default() };
    }
    let rows = dead::Reader {
        rows: reader.rows,
        has_bias: reader.bias.is_some(),
        invisible_rows: reader.invisible_rows,
    };
    let Classes { outright, with_bias_shift, constant_shift } =
        dead::classify(dimension, shift_meets_kernel, rows);
    DeadDirections { outright, with_bias_shift, constant_shift, tied: 0 }
}

/// Sums the directions of every reader that has any, and lists the assumptions of the counts. `has_graph` says that the readers are those
/// of a graph.
pub(super) fn total_dead(norms: &[NormReport], has_graph: bool) -> DeadParameters {
    let mut total = DeadDirections::default();
    let (mut parameters, mut readers) = (0u64, 0u32);
    let mut assumptions: Vec<String> = Vec::new();
    for reader in
        norms.iter().flat_map(|norm| &norm.readers).filter(|reader| reader.dead != DeadDirections::default())
    {
        total.outright += reader.dead.outright;
        total.with_bias_shift += reader.dead.with_bias_shift;
        total.constant_shift += reader.dead.constant_shift;
        total.tied += reader.dead.tied;
        parameters += reader.parameters;
        readers += 1;
        if let Some(assumed) = reader.assumed.as_ref().filter(|assumed| !assumptions.contains(assumed)) {
            assumptions.push(assumed.clone());
        }
    }
    if readers > 0 {
        let recognised = match has_graph {
            true => {
                "readers are those that the edges of the graph lead to; maps behind other nodes are not counted"
            }
            false => {
                "readers are recognised by their names and shapes; maps that are not recognised are not counted"
            }
        };
        assumptions.insert(0, recognised.to_owned());
    }
    let with_kernel = || {
        let kernels = [KernelForm::InverseScale, KernelForm::Coordinates];
        norms.iter().filter(move |norm| kernels.contains(&norm.kernel.form))
    };
    let not_counted = with_kernel()
        .filter(|norm| norm.reader_note.as_ref().is_some_and(|note| note.starts_with(reader::NOT_COUNTED)))
        .count();
    if not_counted > 0 {
        assumptions.push(format!(
            "the readers of {not_counted} of the {} sites with a kernel direction are not known and not counted",
            with_kernel().count()
        ));
    }
    let share = if parameters == 0 {
        0.0
    } else {
        (total.outright + total.with_bias_shift) as f64 / parameters as f64
    };
    DeadParameters {
        outright: total.outright,
        with_bias_shift: total.with_bias_shift,
        constant_shift: total.constant_shift,
        tied: total.tied,
        share,
        readers,
        assumptions,
    }
}
