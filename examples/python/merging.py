"""Merges two fine-tuned models, as stored and in canonical form, and compares the losses.

    python merging.py GAMMASCOPE MODEL TEXT_A TEXT_B FOLDER

MODEL is a small GPT-2 with a tokenizer.json. Two copies are trained further, each on the first nine tenths of a text. Their average is
measured on the last tenth of both texts. Then both are folded into canonical form, and the average of those is measured.
"""
import json
import os
import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

STEPS, BATCH, LENGTH = 200, 16, 64
FOLD = ["--untie", "--scales", "--shifts", "--centre", "--canonical"]


def tokens(tokenizer, path):
    """Returns the token ids for training and those for measuring."""
    with open(path, encoding="utf-8") as file:
        ids = torch.tensor(tokenizer.encode(file.read()).ids)
    cut = len(ids) * 9 // 10
    return ids[:cut], ids[cut : cut + len(ids[cut:]) // LENGTH * LENGTH].reshape(-1, LENGTH)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def train(model, ids, seed):
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(STEPS):
        starts = torch.randint(len(ids) - LENGTH, (BATCH, 1), generator=generator)
        batch = ids[starts + torch.arange(LENGTH)]
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()


def losses(model, texts):
    with torch.no_grad():
        return [model.eval()(text[:256], labels=text[:256]).loss.item() for text in texts]


def average(first, second, out):
    """Writes the average of two checkpoints with the same tensors."""
    a, b = (load_file(os.path.join(folder, "model.safetensors")) for folder in (first, second))
    os.makedirs(out)
    save_file({name: (a[name] + b[name]) / 2 for name in a}, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(first, "config.json"), encoding="utf-8") as source, open(os.path.join(out, "config.json"), "w", encoding="utf-8") as copy:
        json.dump(json.load(source), copy)


def main():
    gammascope, base, text_a, text_b, folder = sys.argv[1:]
    tokenizer = Tokenizer.from_file(os.path.join(base, "tokenizer.json"))
    trained_on, measured_on = zip(*(tokens(tokenizer, path) for path in (text_a, text_b)))

    def at(name):
        return os.path.join(folder, name)

    print(f"{'':24}{'text A':>8}{'text B':>8}")

    def show(what, path):
        print(f"{what:24}" + "".join(f"{loss:8.4f}" for loss in losses(load(path), measured_on)))

    show("before training", base)
    for seed, name in enumerate("ab"):
        model = load(base)
        train(model, trained_on[seed], seed)
        model.save_pretrained(at(name))
        subprocess.run([gammascope, "fold", at(name), "-o", at(f"{name}-folded"), *FOLD], check=True, stdout=subprocess.DEVNULL)
        show(f"trained on {name.upper()}", at(name))
        show("the same, folded", at(f"{name}-folded"))
    average(at("a"), at("b"), at("merged"))
    average(at("a-folded"), at("b-folded"), at("merged-folded"))
    show("merged as stored", at("merged"))
    show("merged in canonical form", at("merged-folded"))


if __name__ == "__main__":
    main()
