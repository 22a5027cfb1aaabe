//! Restores the names of the model's own code: removes what PEFT, FSDP, DDP, torch.compile and training scripts put into them.

use super::adapter_names::{Factor, factor_of};
use super::check::first_and_more;
use super::copies::is_average;
use super::{Checkpoint, Format, Tensor};
use crate::order;
use crate::report::WarningCode;
use crate::source::ByteSource;
use std::borrow::Cow;

/// Whether a part of a name only says how a module is wrapped. Such parts may be anywhere in a name.
fn wraps(part: &str) -> bool {
    matches!(
        part,
        "_orig_mod"
            | "_fsdp_wrapped_module"
            | "_fpw_module"
            | "_checkpoint_wrapped_module"
            | "_forward_module"
            | "base_layer"
            | TRAINED
            | REPLACED
    )
}

/// Parts that also only wrap if the names of all tensors begin with them: DDP, Lightning, PEFT, nested state dicts.
const AT_THE_START: [&str; 5] = ["module", "state_dict", "model_state_dict", "model_state", "base_model"];

/// PEFT's trained copy of a module, followed by the adapter's name, and the module that it replaces.
const TRAINED: &str = "modules_to_save";
const REPLACED: &str = "original_module";

/// What PyTorch's `torch.nn.utils.parametrize` puts around a tensor: `X.parametrizations.weight.original`.
const PARAMETRIZED: &str = ".parametrizations.";
const ORIGINAL: &str = ".original";

/// Removes wrappers from all names ([`Checkpoint::stored_name`] keeps what the file has). Leaves out modules that a trained copy
/// replaces, and adapters beside the weights that they change. Warnings say what is left out.
pub(super) fn unwrap<S: ByteSource>(checkpoint: &mut Checkpoint<S>) {
    if !matches!(checkpoint.format, Format::Safetensors | Format::PyTorch) {
        return;
    }
    let added = leave_out_adapters(&mut checkpoint.tensors);
    let (replaced, trained) = leave_out_replaced(&mut checkpoint.tensors);
    rename(checkpoint);
    if let Some(name) = added.first() {
        let message = format!(
            "{} an adapter beside the weights that it changes: readers and writer energy are those of the weights without it. Merge it (merge_and_unload) to inspect what the model computes",
            first_and_more(name, added.len(), ["belongs to", "belong to"])
        );
        checkpoint.warn(WarningCode::AdapterInside, name, message);
    }
    if let Some(name) = replaced.first() {
        let message = format!(
            "{} left out: the adapter `{trained}` has a trained copy of each (`{TRAINED}`), which the model uses and which is inspected",
            first_and_more(name, replaced.len(), ["is", "are"])
        );
        checkpoint.warn(WarningCode::AdapterInside, name, message);
    }
}

/// Gives tensors the names without wrappers, unless two would get the same name.
fn rename<S>(checkpoint: &mut Checkpoint<S>) {
    let names = without_start(without_wrappers(&checkpoint.tensors), &checkpoint.tensors);
    let changed = names.iter().zip(&checkpoint.tensors).any(|(name, tensor)| *name != tensor.name);
    if !changed || order::distinct(names.iter().map(Cow::as_ref)).len() < names.len() {
        return;
    }
    let names: Vec<String> = names.into_iter().map(Cow::into_owned).collect();
    let renamed = checkpoint.tensors.iter_mut().zip(names).filter(|(tensor, name)| tensor.name != *name);
    checkpoint.stored_names =
        renamed.map(|(tensor, name)| (name.clone(), std::mem::replace(&mut tensor.name, name))).collect();
    order::sort_by(&mut checkpoint.stored_names, |a, b| a.0.cmp(&b.0));
    checkpoint.sort();
}

/// Whether a tensor is a factor of what an adapter adds to a weight.
fn is_added(name: &str) -> bool {
    use Factor::{A, B, Diagonal, EmbeddingA, EmbeddingB, Hada1A, Hada1B, Hada2A, Hada2B, Mid, Tucker};
    use Factor::{Kron1, Kron1A, Kron1B, Kron2, Kron2A, Kron2B, VeraA, VeraB, VeraRank, VeraRows};
    let lora = [A, B, Mid, EmbeddingA, EmbeddingB, Diagonal];
    let products = [Hada1A, Hada1B, Hada2A, Hada2B, Kron1, Kron1A, Kron1B, Kron2, Kron2A, Kron2B, Tucker];
    let shared = [VeraA, VeraB, VeraRank, VeraRows];
    let added = |factor| lora.contains(&factor) || products.contains(&factor) || shared.contains(&factor);
    factor_of(name).is_some_and(|(_, factor, _)| added(factor))
}

/// Leaves out the matrices of adapters that add to a weight, and returns their names. The weights stay: a direction that is dead
/// in W is dead in W + ΔW. Adapters that scale stay too: no rule for readers knows their tensors.
fn leave_out_adapters(tensors: &mut Vec<Tensor>) -> Vec<String> {
    let added: Vec<String> =
        tensors.iter().filter(|tensor| is_added(&tensor.name)).map(|tensor| tensor.name.clone()).collect();
    // An adapter's own file would be left empty.
    if added.is_empty() || added.len() == tensors.len() {
        return Vec::new();
    }
    tensors.retain(|tensor| !is_added(&tensor.name));
    added
}

/// Leaves out modules that the trained copies of one adapter replace, and the copies of other adapters. Returns the names that
/// are left out, and the adapter's name.
fn leave_out_replaced(tensors: &mut Vec<Tensor>) -> (Vec<String>, String) {
    let trained = |name: &str| {
        let (stem, rest) = name.split_once(TRAINED)?;
        let (adapter, _) = rest.strip_prefix('.')?.split_once('.')?;
        Some((stem.to_owned(), adapter.to_owned()))
    };
    let copies: Vec<(String, String)> = tensors.iter().filter_map(|tensor| trained(&tensor.name)).collect();
    let Some((_, first)) = copies.first() else { return (Vec::new(), String::new()) };
    let usual = copies.iter().find(|(_, adapter)| adapter == "default");
    let chosen = usual.map_or(first, |(_, adapter)| adapter).clone();
    let stems = order::distinct(
        copies.iter().filter(|(_, adapter)| *adapter == chosen).map(|(stem, _)| stem.clone()),
    );
    let is_replaced = |name: &str| match (name.split_once(REPLACED), trained(name)) {
        (_, Some((_, adapter))) => adapter != chosen,
        (Some((stem, _)), None) => order::has(&stems, stem),
        _ => false,
    };
    let replaced: Vec<String> =
        tensors.iter().filter(|tensor| is_replaced(&tensor.name)).map(|tensor| tensor.name.clone()).collect();
    tensors.retain(|tensor| !is_replaced(&tensor.name));
    (replaced, chosen)
}

/// Every name without the parts that only wrap.
fn without_wrappers(tensors: &[Tensor]) -> Vec<Cow<'_, str>> {
    let name = |tensor: &'_ Tensor| -> Option<String> {
        if !tensor.name.split('.').any(wraps) {
            return None;
        }
        let mut kept = Vec::new();
        let mut parts = tensor.name.split('.');
        while let Some(part) = parts.next() {
            if part == TRAINED {
                parts.next(); // the adapter's name
            } else if !wraps(part) {
                kept.push(part);
            }
        }
        Some(kept.join("."))
    };
    let mut names: Vec<Cow<'_, str>> = tensors
        .iter()
        .map(|tensor| name(tensor).map_or(Cow::Borrowed(tensor.name.as_str()), Cow::Owned))
        .collect();
    for (name, tensor) in names.iter_mut().zip(tensors) {
        if is_plain_original(name, tensor, tensors) {
            let plain = name.replacen(PARAMETRIZED, ".", 1);
            *name = Cow::Owned(plain.strip_suffix(ORIGINAL).unwrap_or(&plain).to_owned());
        }
    }
    names
}

/// Whether a tensor is the matrix of a parametrization that stores nothing else. A parametrization may change a norm's scale, and
/// one with buffers (spectral norm) or parameters does more than add.
fn is_plain_original(name: &str, tensor: &Tensor, tensors: &[Tensor]) -> bool {
    let Some(stem) = name.strip_suffix(ORIGINAL).filter(|stem| stem.contains(PARAMETRIZED)) else {
        return false;
    };
    let stored = tensor.name.strip_suffix(ORIGINAL).unwrap_or(stem);
    let beside = |other: &Tensor| {
        other.name.strip_prefix(stored).is_some_and(|rest| rest.starts_with('.') && rest != ORIGINAL)
    };
    tensor.shape.len() > 1 && !tensors.iter().any(beside)
}

/// Removes wrappers from the start of names if all tensors of a folder have them. Single numbers (steps, flags) do not count.
fn without_start<'a>(mut names: Vec<Cow<'a, str>>, tensors: &[Tensor]) -> Vec<Cow<'a, str>> {
    // The common start of all names, folder by folder. The catalogue is sorted, so the names of a folder follow each other.
    let mut starts: Vec<(&str, &str)> = Vec::new();
    for (name, _) in names.iter().zip(tensors).filter(|(_, tensor)| tensor.elements() > 1) {
        let (folder, rest) = name.split_at(name.rfind('/').map_or(0, |at| at + 1));
        match starts.last_mut().filter(|(known, _)| *known == folder) {
            Some((_, start)) => *start = common(start, rest),
            None => starts.push((folder, rest)),
        }
    }
    let replaced: Vec<(String, String)> = starts
        .into_iter()
        .filter_map(|(folder, start)| {
            // The last part of the common start may be half a part, or a tensor's own name.
            let (start, _) = start.rsplit_once('.')?;
            let mut parts = start.split('.').peekable();
            let mut kept = folder.to_owned();
            while let Some(part) = parts.next() {
                if AT_THE_START.contains(&part) || is_average(part) {
                    // PEFT's `base_model.model`.
                    parts.next_if(|next| part == "base_model" && *next == "model");
                } else {
                    kept += part;
                    kept.push('.');
                }
            }
            let whole = format!("{folder}{start}.");
            (kept != whole).then_some((whole, kept))
        })
        .collect();
    for name in &mut names {
        let rest = |whole: &String| name.strip_prefix(whole.as_str());
        if let Some(new) = replaced.iter().find_map(|(whole, kept)| Some(format!("{kept}{}", rest(whole)?))) {
            *name = Cow::Owned(new);
        }
    }
    names
}

/// What two names have in common at their start.
fn common<'a>(a: &'a str, b: &'a str) -> &'a str {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    // Two names may differ in the middle of a character.
    (0..=same).rev().find_map(|end| a.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::open::open;
    use crate::source::memory::MemorySource;
    use safetensors::tensor::{Dtype, TensorView};

    /// Names and codes of warnings after opening a file of these tensors.
    fn opened(tensors: &[(&str, &[usize])]) -> (Vec<String>, Vec<String>) {
        let bytes = [0; 256];
        let views = tensors.iter().map(|(name, shape)| {
            let size = 4 * shape.iter().product::<usize>();
            ((*name).to_owned(), TensorView::new(Dtype::F32, shape.to_vec(), &bytes[..size]).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        let source = MemorySource::new("m.safetensors", file);
        let checkpoint = pollster::block_on(open(vec![source], |_| {})).unwrap();
        (
            checkpoint.tensors.iter().map(|tensor| tensor.name.clone()).collect(),
            checkpoint.warnings.iter().map(|warning| warning.code.as_str().to_owned()).collect(),
        )
    }

    #[test]
    fn names_of_wrapped_modules_are_those_of_the_model() {
        for (wrapped, plain) in [
            ("module.layers.0.norm.weight", "layers.0.norm.weight"),
            ("_orig_mod.module.layers.0.norm.weight", "layers.0.norm.weight"),
            ("model.module.layers.0.norm.weight", "model.layers.0.norm.weight"),
            ("state_dict.model.layers.0.norm.weight", "model.layers.0.norm.weight"),
            ("ema_model.layers.0.norm.weight", "layers.0.norm.weight"),
            ("base_model.model.model.layers.0.q.base_layer.weight", "model.layers.0.q.weight"),
            ("layers.0._fsdp_wrapped_module._checkpoint_wrapped_module.q.weight", "layers.0.q.weight"),
            ("layers.0.q.parametrizations.weight.original", "layers.0.q.weight"),
            ("layers.0.norm.modules_to_save.tuned.weight", "layers.0.norm.weight"),
        ] {
            let other = wrapped.replace("layers.0", "layers.1");
            let (names, warnings) = opened(&[(wrapped, &[2, 2]), (&other, &[2, 2])]);
            assert_eq!(names, [plain.to_owned(), plain.replace("layers.0", "layers.1")]);
            assert!(warnings.is_empty(), "{wrapped}: {warnings:?}");
        }
    }

    #[test]
    fn numbers_beside_a_model_do_not_keep_its_wrapper() {
        let (names, _) = opened(&[
            ("ema_model.a.weight", &[2, 2]),
            ("ema_model.b.weight", &[2]),
            ("ema_model.c.scalar", &[1]),
            ("initted", &[]),
            ("step", &[1]),
        ]);
        assert_eq!(names, ["a.weight", "b.weight", "c.scalar", "initted", "step"]);
    }

    #[test]
    fn a_word_that_not_all_names_begin_with_is_part_of_the_name() {
        for tensors in [
            [("module.a.weight", &[2, 2][..]), ("head.weight", &[2, 2][..])],
            [("modules.a.weight", &[2, 2][..]), ("modules.b.weight", &[2, 2][..])],
            // Both would be called `a.weight`.
            [("a._orig_mod.weight", &[2, 2][..]), ("a.weight", &[2, 2][..])],
        ] {
            let (names, warnings) = opened(&tensors);
            assert_eq!(names.len(), 2);
            assert!(tensors.iter().all(|(name, _)| names.iter().any(|known| known == name)), "{names:?}");
            assert!(warnings.is_empty(), "{names:?}: {warnings:?}");
        }
    }

    #[test]
    fn what_a_trained_copy_replaces_is_left_out_and_the_adapter_too() {
        let (names, warnings) = opened(&[
            ("base_model.model.norm.original_module.weight", &[2]),
            ("base_model.model.norm.modules_to_save.default.weight", &[2]),
            ("base_model.model.norm.modules_to_save.other.weight", &[2]),
            ("base_model.model.q.base_layer.weight", &[2, 2]),
            ("base_model.model.q.lora_A.default.weight", &[1, 2]),
            ("base_model.model.q.lora_B.default.weight", &[2, 1]),
            ("base_model.model.head.original_module.weight", &[4, 2]),
        ]);
        assert_eq!(names, ["head.weight", "norm.weight", "q.weight"]);
        assert_eq!(warnings, ["adapter_inside", "adapter_inside"]);
    }

    #[test]
    fn a_scale_or_a_matrix_beside_buffers_stays_behind_its_parametrization() {
        for tensors in [
            [("norm.parametrizations.weight.original", &[2][..]), ("a.weight", &[2][..])],
            [
                ("q.parametrizations.weight.original", &[2, 2][..]),
                ("q.parametrizations.weight.0._u", &[2][..]),
            ],
        ] {
            let (names, _) = opened(&tensors);
            assert!(names.iter().any(|name| name.ends_with(".original")), "{names:?}");
        }
    }
}
