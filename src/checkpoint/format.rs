//! Foreign files, recognised by their first bytes and answered with a sentence.

use super::config::Scope;

/// How many bytes of a file [`foreign`] wants to see.
pub const SNIFF_BYTES: u64 = 512;

/// What a file that is no safetensors and no GGUF file seems to be, and what to do; `None` when nothing is recognised.
pub fn foreign(path: &str, first: &[u8]) -> Option<String> {
    const CONVERT: &str = "save it again with safetensors.torch.save_file (or save_pretrained) and open that";
    // A length of 0x280 looks like a pickle's first bytes: a header behind it settles the matter.
    if first.get(8) == Some(&b'{') {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let (what, advice) = if first.is_empty() {
        ("is empty", "it was probably not written or not downloaded")
    } else if [b"lmgg", b"fmgg", b"tjgg", b"algg"].iter().any(|magic| first.starts_with(*magic)) {
        ("is a GGML file from before GGUF", "convert the original model again, or open its safetensors files")
    } else if first.starts_with(b"PK\x03\x04") && !lower.ends_with(".npz") {
        (
            "is a zip archive, as torch.save writes for .bin, .pt, .pth and .ckpt files: a pickle, which can run code when loaded",
            CONVERT,
        )
    } else if first.starts_with(b"PK\x03\x04") {
        ("is a NumPy .npz archive", CONVERT)
    } else if first.len() > 1 && first[0] == 0x80 && (2..=5).contains(&first[1]) {
        ("is a Python pickle, which can run code when loaded", CONVERT)
    } else if first.starts_with(b"\x89HDF\r\n\x1a\n") {
        (
            "is an HDF5 file (Keras)",
            "convert it with the transformers library and open the safetensors file it writes",
        )
    } else if first.starts_with(b"\x93NUMPY") {
        ("is a NumPy array", "open the checkpoint it belongs to")
    } else if first.starts_with(b"version https://git-lfs") {
        ("is a Git LFS pointer, not the file itself", "run `git lfs pull` and open the real file")
    } else if first.starts_with(b"\x1f\x8b") || first.starts_with(b"\x28\xb5\x2f\xfd") {
        ("is a compressed archive", "unpack it first")
    } else if first.len() > 261 && &first[257..262] == b"ustar" || lower.ends_with(".tar") {
        ("is a tar archive", "unpack it first")
    } else if lower.ends_with(".onnx")
        || (first.starts_with(b"\x08") && first.windows(4).any(|four| four == b"onnx" || four == b"pyto"))
    {
        ("is an ONNX model", "export the weights as safetensors from the framework that made it")
    } else if first.trim_ascii_start().to_ascii_lowercase().starts_with(b"<!doctype")
        || first.trim_ascii_start().to_ascii_lowercase().starts_with(b"<html")
    {
        ("is a web page, probably an error page saved in place of the file", "download the file again")
    } else {
        return None;
    };
    Some(format!("`{path}` {what}; {advice}"))
}

const ADAPTER: &str = "an adapter (LoRA or another PEFT method), not a model: its norms are those of the base model; to weigh a LoRA adapter open its base first, then drop the adapter (in a terminal `gammascope adapter BASE ADAPTER`), or merge it (merge_and_unload) and open the result";

/// What a GGUF file says it is, when that is no model, and what to do.
pub fn declared(metadata: Scope<'_>) -> Option<&'static str> {
    match metadata.text("general.type")? {
        "adapter" => Some(ADAPTER),
        "imatrix" => Some("an importance matrix, not a model; open the model it was made for"),
        _ => None,
    }
}

/// What a catalogue without the model's own weights holds, and what to do; `None` for a model.
pub fn partial<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let (mut adapter, mut optimizer, mut total) = (0usize, 0usize, 0usize);
    for name in names {
        total += 1;
        let is = |marks: &[&str]| marks.iter().any(|mark| name.contains(mark));
        adapter += usize::from(is(&[
            "lora_A",
            "lora_B",
            "lora_a",
            "lora_b",
            "lora_embedding",
            "lora_magnitude",
            "lora_down",
            "lora_up",
            "lora.down",
            "lora.up",
            "hada_w",
            "ia3_l",
            "prompt_embeddings",
        ]));
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
    fn first_bytes_tell_foreign_files_apart() {
        let cases: [(&str, &[u8], &str); 10] = [
            ("a.safetensors", b"", "empty"),
            ("a.gguf", b"tjgg\x03\0\0\0", "before GGUF"),
            ("pytorch_model.bin", b"PK\x03\x04\0\0", "pickle"),
            ("a.npz", b"PK\x03\x04\0\0", ".npz"),
            ("a.pt", b"\x80\x02}q", "pickle"),
            ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
            ("a.safetensors", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            ("a.safetensors", b"<!DOCTYPE html>", "web page"),
            ("model.onnx", b"\x08\x07\x12\x07pytorch", "ONNX"),
            ("a.tar.gz", b"\x1f\x8b\x08", "compressed"),
        ];
        for (path, first, expected) in cases {
            let sentence = foreign(path, first).unwrap_or_default();
            assert!(sentence.contains(expected) && sentence.contains(path), "{path}: {sentence}");
        }
        assert_eq!(foreign("a.safetensors", b"\x80\x02\0\0\0\0\0\0{}"), None);
    }

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
