//! Sorts an adapter's tensors into the modules that it adapts, each with its factors, and its own norms.

use crate::checkpoint::Tensor;
use crate::checkpoint::adapter_names::{Factor, Method, factor_of};
use std::collections::HashMap;

/// What PEFT puts before a module's own path.
const WRAPPER: &str = "base_model.model.";

/// What PEFT puts between a module that is saved whole and the adapter's name.
const SAVED: &str = ".modules_to_save.";

/// What PEFT calls the original weight of a module that it replaced.
const BEFORE: &str = ".original_module.";

/// One adapted module: its path as the adapter has it, and its factors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Module {
    pub(super) path: String,
    factors: Vec<(Factor, usize)>,
}

impl Module {
    /// The tensor that is this factor.
    pub(super) fn factor(&self, wanted: Factor) -> Option<usize> {
        self.factors.iter().find(|(factor, _)| *factor == wanted).map(|&(_, tensor)| tensor)
    }

    /// How it is adapted. DoRA's magnitudes decide over all other factors.
    pub(super) fn method(&self) -> Option<Method> {
        let methods = || self.factors.iter().filter_map(|(factor, _)| factor.method());
        let has = |wanted| methods().any(|method| method == wanted).then_some(wanted);
        has(Method::Dora)
            .or_else(|| methods().find(|method| *method != Method::Lora))
            .or_else(|| methods().next())
    }

    /// Whether it adapts an embedding.
    pub(super) fn is_embedding(&self) -> bool {
        self.factor(Factor::EmbeddingA).is_some()
    }
}

/// A norm of the adapter's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnNorm {
    pub(super) path: String,
    /// The tensor of its scale.
    pub(super) tensor: usize,
    /// Whether the stored values are added to the base's scale and do not replace it.
    pub(super) added: bool,
}

/// What an adapter holds.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) modules: Vec<Module>,
    pub(super) norms: Vec<OwnNorm>,
    /// VeRA's A and B, which all modules share.
    pub(super) shared: HashMap<&'static str, usize>,
}

/// VeRA's shared matrices in [`Parts::shared`].
pub(super) const VERA_A: &str = "vera_A";
/// The other one.
pub(super) const VERA_B: &str = "vera_B";

/// Sorts the tensors of an adapter, in the order of their names.
pub(super) fn parts(tensors: &[Tensor]) -> Parts {
    let mut parts = Parts::default();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let vector = tensor.shape.len() == 1;
        let own = |module: &str, added| OwnNorm { path: path_of(module), tensor: index, added };
        match factor_of(&tensor.name) {
            None => {
                let module = tensor.name.strip_suffix(".weight").filter(|_| vector);
                parts.norms.extend(
                    module.filter(|_| !tensor.name.contains(BEFORE)).map(|module| own(module, false)),
                );
            }
            Some((module, Factor::Replacement, rest)) => {
                if vector && rest.ends_with("weight") {
                    parts.norms.push(own(module, false));
                }
            }
            Some((module, Factor::ScaleDifference, _)) => parts.norms.push(own(module, true)),
            Some((module, Factor::Difference, _)) if vector => parts.norms.push(own(module, true)),
            Some((_, Factor::VeraA, _)) => _ = parts.shared.insert(VERA_A, index),
            Some((_, Factor::VeraB, _)) => _ = parts.shared.insert(VERA_B, index),
            Some((_, Factor::ShiftDifference | Factor::Beside, _)) => {}
            // A bias of B is a constant, and reads nothing.
            Some((_, _, rest)) if rest.ends_with("bias") => {}
            Some((module, factor, rest)) => {
                // One module may have several adapters. Their names differ, and come before `.weight`.
                let adapter = rest.strip_suffix("weight").unwrap_or(rest).trim_end_matches('.');
                let place = *places.entry((module, adapter)).or_insert_with(|| {
                    parts.modules.push(Module { path: path_of(module), factors: Vec::new() });
                    parts.modules.len() - 1
                });
                parts.modules[place].factors.push((factor, index));
            }
        }
    }
    // LyCORIS' IA³ calls its vector of factors `weight`.
    let modules = &parts.modules;
    parts.norms.retain(|norm| modules.iter().all(|module| module.path != norm.path));
    parts
}

/// The module's own path.
fn path_of(module: &str) -> String {
    let module = module.strip_prefix(WRAPPER).unwrap_or(module);
    // A module that PEFT saves whole, with its words still in the name: `classifier.modules_to_save.default.norm`.
    if let Some((whole, (_, part))) =
        module.split_once(SAVED).and_then(|(whole, rest)| Some((whole, rest.split_once('.')?)))
    {
        return format!("{whole}.{part}");
    }
    // diffusers' attention processors had maps of their own beside the adapted ones: `attn1.processor.to_q_lora`.
    let processor = module.rsplit_once(".processor.").and_then(|(attention, map)| {
        let map = map.strip_suffix("_lora")?;
        // The output projection is the first part of a sequence.
        Some(format!("{attention}.{map}{}", if map == "to_out" { ".0" } else { "" }))
    });
    processor.unwrap_or_else(|| module.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    fn tensors(names: &[(&str, &[u64])]) -> Vec<Tensor> {
        let tensor = |(name, shape): &(&str, &[u64])| Tensor {
            name: (*name).to_owned(),
            dtype: TensorType::parse("F32"),
            shape: shape.to_vec(),
            shard: 0,
            range: 0..4 * shape.iter().product::<u64>(),
            strides: None,
        };
        names.iter().map(tensor).collect()
    }

    #[test]
    fn factors_of_a_module_come_together_and_wrappers_go() {
        let parts = parts(&tensors(&[
            ("base_model.model.h.0.q.lora_A.weight", &[2, 6]),
            ("base_model.model.h.0.q.lora_B.weight", &[6, 2]),
            ("base_model.model.h.0.q.lora_B.bias", &[6]),
            ("unet.attn1.processor.to_out_lora.down.weight", &[2, 6]),
            ("h.1.q.lora_A.speech.weight", &[2, 6]),
            ("h.1.q.lora_A.vision.weight", &[2, 6]),
            ("lora_te_l_0_q.alpha", &[]),
            ("lora_te_l_0_q.lora_down.weight", &[2, 6]),
        ]));
        let paths: Vec<&str> = parts.modules.iter().map(|module| module.path.as_str()).collect();
        assert_eq!(paths, ["h.0.q", "unet.attn1.to_out.0", "h.1.q", "h.1.q", "lora_te_l_0_q"]);
        assert_eq!(parts.modules[0].factor(Factor::B), Some(1));
        assert!(parts.modules.iter().all(|module| module.method() == Some(Method::Lora)));
    }

    #[test]
    fn norms_are_stored_whole_or_as_differences() {
        let parts = parts(&tensors(&[
            ("base_model.model.h.0.ln.weight", &[6]),
            ("base_model.model.h.0.ln.bias", &[6]),
            ("h.1.ln.modules_to_save.default.weight", &[6]),
            ("h.1.ln.original_module.weight", &[6]),
            ("h.2.ln.ln_tuning_layers.weight", &[6]),
            ("lycoris_h_3_ln.w_norm", &[6]),
            ("lycoris_h_3_ln.b_norm", &[6]),
            ("lora_unet_h_4_ln.diff", &[6]),
            ("base_model.model.head.modules_to_save.default.norm.weight", &[6]),
            ("lm_head.modules_to_save.default.weight", &[7, 6]),
        ]));
        let norms: Vec<(&str, bool)> =
            parts.norms.iter().map(|norm| (norm.path.as_str(), norm.added)).collect();
        assert_eq!(
            norms,
            [
                ("h.0.ln", false),
                ("h.1.ln", false),
                ("h.2.ln", false),
                ("lycoris_h_3_ln", true),
                ("lora_unet_h_4_ln", true),
                ("head.norm", false)
            ]
        );
        assert!(parts.modules.is_empty());
    }

    #[test]
    fn the_method_is_that_of_the_factors() {
        for (factors, method) in [
            (&["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"][..], Method::Dora),
            (&["lora_down.weight", "lora_up.weight", "dora_scale"], Method::Dora),
            (&["hada_w1_a", "hada_w1_b", "dora_scale"], Method::Dora),
            (&["lora_A", "lora_B", "lora_E"], Method::AdaLora),
            (&["lokr_w1", "lokr_w2_a", "lokr_w2_b"], Method::Lokr),
            (&["vera_lambda_b", "vera_lambda_d"], Method::Vera),
            (&["oft_blocks"], Method::Oft),
        ] {
            let names: Vec<String> = factors.iter().map(|factor| format!("h.0.q.{factor}")).collect();
            let listed: Vec<(&str, &[u64])> = names.iter().map(|name| (name.as_str(), &[2, 6][..])).collect();
            let parts = parts(&tensors(&listed));
            assert_eq!((parts.modules.len(), parts.modules[0].method()), (1, Some(method)), "{factors:?}");
        }
    }
}
