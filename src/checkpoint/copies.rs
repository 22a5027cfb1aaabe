//! A model and its moving average in one file, as training scripts save them: one of them is inspected.

use super::{Checkpoint, Tensor};
use crate::order;
use crate::report::WarningCode;
use crate::source::ByteSource;

/// Words in the first part of a name that mark a moving average of the model beside it.
const AVERAGES: [&str; 6] = ["ema", "teacher", "average", "averaged", "shadow", "momentum"];

/// A part with fewer tensors is not a model.
const ENOUGH: usize = 4;

/// Leaves out a model if its moving average is in the same file. Both have the same tensors below their first names
/// (`online_model.…`, `ema_model.…`): counted together, they would be one model of twice the size.
pub(super) fn leave_out<S: ByteSource>(checkpoint: &mut Checkpoint<S>) {
    // The catalogue is sorted, so one look at each first name is enough. Most files have no average.
    let mut last = "";
    let has_average = checkpoint.tensors.iter().any(|tensor| {
        let is_new = first(tensor) != last;
        last = first(tensor);
        is_new && is_average(last)
    });
    if !has_average {
        return;
    }
    let parts = order::groups(
        checkpoint.tensors.iter().enumerate().map(|(at, tensor)| (first(tensor).to_owned(), at)),
    );
    let below = |name: &str, at: usize| &checkpoint.tensors[at].name[name.len()..];
    let is_copy = |(a, of_a): &(String, Vec<usize>), (b, of_b): &(String, Vec<usize>)| {
        let same = |(&x, &y): (&usize, &usize)| {
            below(a, x) == below(b, y) && checkpoint.tensors[x].shape == checkpoint.tensors[y].shape
        };
        of_a.len() >= ENOUGH && of_a.len() == of_b.len() && of_a.iter().zip(of_b).all(same)
    };
    let averages = || parts.iter().filter(|(name, _)| is_average(name));
    let copies: Vec<(&str, &str)> = parts
        .iter()
        .filter(|(name, _)| !is_average(name))
        .filter_map(|part| {
            Some((part.0.as_str(), averages().find(|average| is_copy(average, part))?.0.as_str()))
        })
        .collect();
    let messages: Vec<(String, String)> = copies
        .iter()
        .map(|(copy, average)| {
            let message = format!(
                "`{copy}.…` and `{average}.…` are two copies of one model, the second its moving average by its name: the average is inspected, the other is left out"
            );
            ((*copy).to_owned(), message)
        })
        .collect();
    for (copy, message) in messages {
        checkpoint.tensors.retain(|tensor| first(tensor) != copy);
        checkpoint.warn(WarningCode::CopyInside, &copy, message);
    }
}

fn first(tensor: &Tensor) -> &str {
    tensor.name.split('.').next().unwrap_or_default()
}

/// Whether the first part of a name marks a moving average.
pub(super) fn is_average(name: &str) -> bool {
    name.to_ascii_lowercase().split('_').any(|word| AVERAGES.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::super::open::open;
    use crate::source::memory::MemorySource;
    use safetensors::tensor::{Dtype, TensorView};

    /// Names of the tensors that are left, their names in the file, and the codes of the warnings.
    fn opened(prefixes: &[(&str, usize)]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let bytes = [0; 64];
        let mut tensors = Vec::new();
        for &(prefix, width) in prefixes {
            for name in ["a", "b", "c", "norm"] {
                let view = TensorView::new(Dtype::F32, vec![width], &bytes[..4 * width]).unwrap();
                tensors.push((format!("{prefix}{name}.weight"), view));
            }
        }
        let file = safetensors::serialize(tensors, None).unwrap();
        let checkpoint =
            pollster::block_on(open(vec![MemorySource::new("m.safetensors", file)], |_| {})).unwrap();
        let names: Vec<String> = checkpoint.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        let stored = names.iter().map(|name| checkpoint.stored_name(name).to_owned()).collect();
        let codes = checkpoint.warnings.iter().map(|warning| warning.code.as_str().to_owned()).collect();
        (names, stored, codes)
    }

    #[test]
    fn of_a_model_and_its_average_the_average_is_kept() {
        for (model, average) in
            [("online_model.", "ema_model."), ("student.", "teacher."), ("net.", "net_ema.")]
        {
            let (names, stored, codes) = opened(&[(model, 4), (average, 4)]);
            assert_eq!(names, ["a.weight", "b.weight", "c.weight", "norm.weight"]);
            assert!(stored.iter().all(|name| name.starts_with(average)), "{stored:?}");
            assert_eq!(codes, ["copy_inside"]);
        }
    }

    #[test]
    fn parts_that_are_alike_and_averages_of_something_else_stay() {
        for parts in [
            [("text_encoder.", 4), ("text_encoder_2.", 4)],
            [("layers.", 4), ("norms.", 4)],
            [("model.", 4), ("ema_model.", 8)],
        ] {
            let (names, _, codes) = opened(&parts);
            assert_eq!((names.len(), codes.len()), (8, 0), "{parts:?}");
        }
    }
}
