//! Recognises catalogues that are not a model: adapters, optimizer states, importance matrices.

use super::adapter_names::{self, Factor, Method};
use super::config::Scope;
use std::collections::HashMap;

/// If at most one tensor in this many belongs to an adapter, the file is a model with an odd part.
const FEW: usize = 8;

/// A part of the names in PEFT's LN tuning, which stores nothing but norms.
const NORM_TUNING: &str = ".ln_tuning_layers.";

/// What a GGUF file says it is, if that is not a model, and what to do.
pub(super) fn declared(metadata: Scope<'_>) -> Option<String> {
    match metadata.text("general.type")? {
        "adapter" => Some(adapter(None)),
        "imatrix" => Some("an importance matrix, not a model; open the model it was made for".to_owned()),
        _ => None,
    }
}

/// What an adapter is called, and what to do with it.
fn adapter(method: Option<Method>) -> String {
    let what = match method {
        Some(Method::Norms | Method::Prompt) | None => "an adapter (LoRA or another PEFT method)".to_owned(),
        Some(method) => {
            let name = method.name();
            let article =
                if name.starts_with(['A', 'I', 'O']) && method != Method::Lora { "an" } else { "a" };
            format!("{article} {name} adapter")
        }
    };
    format!(
        "{what}, not a model: its norms are those of the base model; to see how much of it is wasted, open its base first and then the adapter (in a terminal: `gammascope adapter BASE ADAPTER`), or merge it (merge_and_unload) and open the result"
    )
}

/// What a catalogue without the model's own weights holds, and what to do; `None` for a model.
pub(super) fn partial<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let (mut optimizer, mut flat, mut total) = (0usize, 0usize, 0usize);
    let mut adapted = Vec::new();
    let mut method = None;
    for name in names.clone() {
        total += 1;
        let is = |marks: &[&str]| marks.iter().any(|mark| name.contains(mark));
        match adapter_names::factor_of(name) {
            Some((_, Factor::Beside | Factor::Replacement, _)) if !name.contains(NORM_TUNING) => {}
            Some((module, factor, _)) => {
                adapted.push(module);
                // Norms and full differences only accompany the method that names the adapter, and DoRA extends LoRA.
                let rank = |method: Option<Method>| match method {
                    None => 0,
                    Some(Method::Norms) => 1,
                    Some(Method::Difference) => 2,
                    Some(Method::Lora) => 3,
                    Some(Method::Dora) => 5,
                    Some(_) => 4,
                };
                if rank(factor.method()) > rank(method) {
                    method = factor.method();
                }
            }
            None if adapter_names::is_flat(name) => adapted.push(name),
            None => {}
        }
        flat += usize::from(is(&["flat_param"]));
        optimizer += usize::from(is(&[
            "exp_avg",
            "exp_inf",
            "max_exp_avg",
            "momentum_buffer",
            "optimizer.",
            "optimizer_state",
            "master_weight",
            "adam_",
        ]));
    }
    // Adapters may have norms, a head or an embedding of their own. A model that is being adapted has the adapted weights as well.
    if adapted.len() * FEW > total && !have_weights(names, &adapted) {
        Some(adapter(method))
    } else if flat > 0 {
        Some(
            "parameters as FSDP flattens them, not the model's own tensors: the norms are somewhere inside. Save the model with StateDictType.FULL_STATE_DICT and open the result"
                .to_owned(),
        )
    } else if optimizer * 2 > total {
        Some(
            "an optimizer's state, not a model; open the model's own safetensors files, which usually lie beside it"
                .to_owned(),
        )
    } else {
        None
    }
}

/// Whether at least half of the adapted modules have their weights. An adapter may have one: PEFT saves an adapted embedding
/// whole.
fn have_weights<'a>(names: impl Iterator<Item = &'a str>, adapted: &[&str]) -> bool {
    let modules: HashMap<&str, usize> = adapted.iter().map(|module| (*module, 0)).collect();
    let weight = |name: &'a str| {
        let module = name.strip_suffix(".weight").filter(|module| !adapter_names::is_flat(module))?;
        Some(module.strip_suffix(".base_layer").unwrap_or(module))
    };
    let with_weights = names.filter_map(weight).filter(|module| modules.contains_key(module)).count();
    2 * with_weights >= modules.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Option<String> {
        partial(names.iter().copied())
    }

    #[test]
    fn adapters_and_optimizer_states_are_not_models() {
        let lora = ["base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"];
        assert!(of(&lora).is_some_and(|what| what.starts_with("a LoRA adapter, not a model")));
        assert!(
            of(&["state.0.exp_avg", "state.0.exp_avg_sq"]).is_some_and(|what| what.contains("optimizer"))
        );
        assert!(
            of(&["_fsdp_wrapped_module._flat_param", "layers.0._flat_param"])
                .is_some_and(|what| what.contains("FSDP"))
        );
        assert_eq!(of(&["model.norm.weight", "lm_head.weight"]), None);
    }

    #[test]
    fn an_adapter_is_called_by_its_method() {
        for (names, called) in [
            (
                &["lycoris_l_0_q.lokr_w1", "lycoris_l_0_q.lokr_w2", "lycoris_l_0_n.w_norm"][..],
                "a LoKr adapter",
            ),
            (&["m.l.0.q.hada_w1_a", "m.l.0.q.hada_w1_b"], "a LoHa adapter"),
            (&["m.l.0.k.ia3_l"], "an IA³ adapter"),
            (&["lycoris_l_0_k.weight", "lycoris_l_0_k.on_input"], "an IA³ adapter"),
            (&["m.l.0.q.oft_R.weight"], "an OFT adapter"),
            (&["m.l.0.q.boft_R", "m.l.0.q.boft_s"], "a BOFT adapter"),
            (&["base_model.vera_A", "m.l.0.q.vera_lambda_b", "m.l.0.q.vera_lambda_d"], "a VeRA adapter"),
            (&["m.q.lora_A.weight", "m.q.lora_B.weight", "m.q.lora_magnitude_vector"], "a DoRA adapter"),
            (&["lora_unet_q.lora_down.weight", "lora_unet_q.lora_up.weight", "lora_unet_q.alpha"], "a LoRA"),
            (&["to_q.lora.down.weight", "to_q.lora.up.weight"], "a LoRA adapter"),
            (&["lora_unet_n.w_norm", "lora_unet_n.b_norm"], "an adapter (LoRA or another"),
            (
                &["h.0.ln.ln_tuning_layers.weight", "h.0.ln.ln_tuning_layers.bias"],
                "an adapter (LoRA or another",
            ),
        ] {
            assert!(of(names).is_some_and(|what| what.starts_with(called)), "{names:?} {:?}", of(names));
        }
    }

    #[test]
    fn an_adapter_with_more_norms_than_factors_is_an_adapter_and_an_adapted_model_is_not() {
        let with_norms =
            ["h.0.q.lora_A.weight", "h.0.q.lora_B.weight", "h.0.n1.weight", "h.0.n1.bias", "h.0.n2.weight"];
        assert!(of(&with_norms).is_some());
        let with_embedding =
            ["e.lora_embedding_A", "e.base_layer.weight", "q.lora_A.weight", "k.lora_A.weight"];
        assert!(of(&with_embedding).is_some());
        for weight in ["h.0.q.weight", "h.0.q.base_layer.weight"] {
            assert_eq!(of(&["h.0.q.lora_A.weight", "h.0.q.lora_B.weight", weight]), None, "{weight}");
        }
    }
}
