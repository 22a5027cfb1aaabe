//! Catalogues that are no model: adapters, optimizer states, importance matrices.

use super::config::Scope;

const ADAPTER: &str = "an adapter (LoRA or another PEFT method), not a model: its norms are those of the base model; to weigh a LoRA adapter open its base first, then drop the adapter (in a terminal `gammascope adapter BASE ADAPTER`), or merge it (merge_and_unload) and open the result";

/// What names a matrix that is added to a weight: LoRA and its kin, under the names of PEFT, diffusers, kohya and loralib.
const ADDED: [&str; 12] = [
    "lora_A",
    "lora_B",
    "lora_a",
    "lora_b",
    "lora_embedding",
    "lora_down",
    "lora_up",
    "lora.down",
    "lora.up",
    "hada_w",
    "lokr_w",
    "vera_",
];

/// Whether a tensor is a matrix of an adapter that adds to a weight.
pub(super) fn is_added(name: &str) -> bool {
    ADDED.iter().any(|mark| name.contains(mark))
}

/// What a GGUF file says it is, when that is no model, and what to do.
pub(super) fn declared(metadata: Scope<'_>) -> Option<&'static str> {
    match metadata.text("general.type")? {
        "adapter" => Some(ADAPTER),
        "imatrix" => Some("an importance matrix, not a model; open the model it was made for"),
        _ => None,
    }
}

/// What a catalogue without the model's own weights holds, and what to do; `None` for a model.
pub(super) fn partial<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let (mut adapter, mut optimizer, mut total) = (0usize, 0usize, 0usize);
    for name in names {
        total += 1;
        let is = |marks: &[&str]| marks.iter().any(|mark| name.contains(mark));
        adapter += usize::from(is_added(name) || is(&["lora_magnitude", "ia3_l", "prompt_embeddings"]));
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
    // Adapters may carry a retrained head or embedding along (modules_to_save).
    if adapter * 2 > total {
        Some(ADAPTER)
    } else if optimizer * 2 > total {
        Some(
            "an optimizer's state, not a model; open the model's own safetensors files, which usually lie beside it",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_and_optimizer_states_are_not_models() {
        assert!(
            partial(["base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"].into_iter())
                .is_some_and(|what| what.contains("adapter"))
        );
        assert!(
            partial(["state.0.exp_avg", "state.0.exp_avg_sq"].into_iter())
                .is_some_and(|what| what.contains("optimizer"))
        );
        assert_eq!(partial(["model.norm.weight", "lm_head.weight"].into_iter()), None);
    }
}
