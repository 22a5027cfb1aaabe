#!/usr/bin/env python3
"""Saves the output of every norm of a Hugging Face folder, in one float32 forward pass.

    capture.py MODEL_FOLDER OUT.safetensors [--tokens 2048] [--sequence 128] [--text FILE | --ids]

It reads FILE with the tokenizer of the folder, without special tokens. With --ids, without FILE or without a tokenizer, it
draws uniform token ids from a fixed generator. Tensors have the names of the scales in the checkpoint, without
`.weight`. Norms in a task head are left out, because only the base model runs. Needs torch and transformers.
"""
import argparse
import glob
import json
import os

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hook import record

CHUNK = 8  # sequences in one forward pass
MOST_ROWS = 8192  # q and k norms have one row per head and token
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json")
# Sizes that a short config.json leaves out, from the tensor that has them: (end of its name, rows per unit).
SIZES = {
    "vocab_size": ("embed_tokens.weight", None),
    "intermediate_size": (".mlp.gate_proj.weight", None),
    "head_dim": (".self_attn.q_proj.weight", "num_attention_heads"),
}


def shapes_of(folder):
    """The shape of every tensor in the checkpoint of the folder."""
    shapes = {}
    for path in glob.glob(f"{folder}/*.safetensors"):
        with safe_open(path, "pt") as file:
            shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}
    return shapes


def config_of(folder, shapes):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        given = json.load(file)
    sizes = {}
    for key, (end, unit) in SIZES.items():
        rows = next((shape[0] for name, shape in shapes.items() if name.endswith(end)), None)
        if rows and key not in given and "text_config" not in given:
            sizes[key] = rows // given[unit] if unit else rows
    return transformers.AutoConfig.from_pretrained(folder, **sizes)


def load(folder, config):
    """The class that the checkpoint was saved from, so that module paths are tensor names."""
    name = (config.architectures or ["AutoModel"])[0]
    return getattr(transformers, name).from_pretrained(folder, config=config, dtype=torch.float32).eval()


def text_ids(folder, path, count):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    return (ids * (count // len(ids) + 1))[:count]


def uniform_ids(vocabulary, count):
    """A 64-bit linear congruential generator, the same in every language."""
    state, ids = 42, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % vocabulary)
    return ids


def thin(path, most):
    """Keeps `most` rows of every longer tensor, evenly spread. Returns the names of these tensors."""
    tensors = load_file(path)
    for name, y in tensors.items():
        if len(y) > most:
            tensors[name] = y[torch.linspace(0, len(y) - 1, most, dtype=torch.float64).long()]
    save_file(tensors, path)
    return list(tensors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--sequence", type=int, default=128)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", metavar="FILE")
    source.add_argument("--ids", action="store_true")
    args = parser.parse_args()

    torch.set_num_threads(1)
    shapes = shapes_of(args.folder)
    config = config_of(args.folder, shapes)
    model = load(args.folder, config)
    count = args.tokens // args.sequence * args.sequence
    use_text = args.text and any(os.path.exists(f"{args.folder}/{name}") for name in TOKENIZERS)
    ids = text_ids(args.folder, args.text, count) if use_text else uniform_ids(config.get_text_config().vocab_size, count)

    save = record(model)
    with torch.no_grad():
        for chunk in torch.tensor(ids).reshape(-1, args.sequence).split(CHUNK):
            model.base_model(input_ids=chunk)
    save(args.out)
    sites = thin(args.out, max(MOST_ROWS, count))

    unknown = [site for site in sites if f"{site}.weight" not in shapes]
    print(f"{args.out}: {len(sites)} sites, {count} tokens of {'text' if use_text else 'uniform ids'}")
    if unknown:
        print("not named so in the checkpoint:", *unknown)


if __name__ == "__main__":
    main()
