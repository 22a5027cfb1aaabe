"""Tests the snippets in scripts/use: compares them with the function of samples/layernorm in NumPy, and on PyTorch tensors if there
is PyTorch. tests/it/export.rs runs it:

    check.py MODEL.safetensors REPORT.json KERNELS.safetensors
"""
import json
import math
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/use"))
from drop_from_lora import drop, scaling_of  # noqa: E402
from project_out import project_out, readers, stored_in_out  # noqa: E402

BLOCKS, WIDTH, HEADS, EPSILON = 4, 128, 4, 1e-5


def load(path):
    """Reads a safetensors file of BF16 or F64: name → float64 array."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(size)), file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[begin:end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype("f8")
        else:
            values = np.frombuffer(raw, "<f8").copy()
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def logits(w, ids, adapters={}):
    """The function layernorm_logits of samples/train.py in float64. `adapters`: module → (A, B, scaling)."""
    def layer_norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * w[name + ".weight"] + w[name + ".bias"]

    def linear(name, x):
        out = x @ w[name + ".weight"] + w[name + ".bias"]
        if name in adapters:
            A, B, scaling = adapters[name]
            out = out + scaling * (x @ A.T) @ B.T
        return out

    def heads(x):
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    stream = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][: len(ids)]
    for n in range(BLOCKS):
        block = f"transformer.h.{n}."
        q, k, v = np.split(linear(block + "attn.c_attn", layer_norm(block + "ln_1", stream)), 3, -1)
        scores = heads(q) @ heads(k).transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS)
        scores[:, np.triu(np.ones((len(ids), len(ids)), bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ heads(v)
        stream = stream + linear(block + "attn.c_proj", mixed.transpose(1, 0, 2).reshape(len(ids), WIDTH))
        x = linear(block + "mlp.c_fc", layer_norm(block + "ln_2", stream))
        hidden = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        stream = stream + linear(block + "mlp.c_proj", hidden)
    return layer_norm("transformer.ln_f", stream) @ w["transformer.wte.weight"].T


def close(name, a, b, below):
    apart = float(np.abs(a - b).max())
    print(f"{name}: {apart:.1e}")
    assert apart < below, (name, apart)


def projecting_every_reader_changes_weights_and_not_the_function(w, ids, report, kernels):
    moved, changed = dict(w), 0.0
    pairs = list(readers(report))
    assert len(pairs) == 2 * BLOCKS, pairs
    for site, weight, bias in pairs:
        v, constant = kernels[f"{site}.kernel"], kernels[f"{site}.constant"]
        assert stored_in_out(w[weight].shape, WIDTH)
        W, moved[bias] = project_out(w[weight].T, w[bias], v, constant)
        moved[weight] = W.T
        changed = max(changed, np.abs(W.T - w[weight]).max())
        assert np.abs(W @ v).max() < 1e-12
    assert changed > 1e-3, changed
    close("projected, bias moved", logits(moved, ids), logits(w, ids), 1e-10)
    without = {name: moved[name] if name.endswith("weight") else w[name] for name in w}
    assert np.abs(logits(without, ids) - logits(w, ids)).max() > 1e-6, "the bias matters"


def several_directions_go_at_once():
    random = np.random.default_rng(0)
    y = random.normal(size=(20, 6)) * [1, 0, 2, 0, 1, 1] + [0, 0.5, 0, -2, 1, 0]  # channels 1 and 3 are constant
    W, b = random.normal(size=(4, 6)), random.normal(size=4)
    moved, bias = project_out(W, b, np.eye(6)[[1, 3]], np.array([0.5, -2.0]))
    assert np.abs(moved[:, [1, 3]]).max() == 0
    close("zero channels", y @ moved.T + bias, y @ W.T + b, 1e-12)
    _, needed = project_out(W, None, np.eye(6)[[1, 3]], np.array([0.5, -2.0]))
    close("without a bias", b + needed, bias, 1e-12)


def dropping_from_an_adapter_costs_a_bias_shift_and_nothing_else(w, ids, kernels):
    random = np.random.default_rng(1)
    rank, scaling = 4, scaling_of({"lora_alpha": 8}, "x", 4)
    adapters, dropped, moved = {}, {}, dict(w)
    for n in range(BLOCKS):
        for module, site in ((f"transformer.h.{n}.attn.c_attn", "ln_1"), (f"transformer.h.{n}.mlp.c_fc", "ln_2")):
            site = f"transformer.h.{n}.{site}"
            A = random.normal(size=(rank, WIDTH)) / math.sqrt(WIDTH)
            B = random.normal(size=(w[module + ".weight"].shape[1], rank)) * 0.05
            adapters[module] = (A, B, scaling)
            v = kernels[f"{site}.kernel"]
            less, shift = drop(A, B, v, kernels[f"{site}.constant"], scaling)
            assert np.abs(less @ v).max() < 1e-14 < np.abs(A @ v).max()
            dropped[module] = (less, B, scaling)
            moved[module + ".bias"] = w[module + ".bias"] + shift
    adapted = logits(w, ids, adapters)
    assert np.abs(adapted - logits(w, ids)).max() > 0.1, "the adapter does something"
    close("dropped, bias moved", logits(moved, ids, dropped), adapted, 1e-10)
    assert np.abs(logits(w, ids, dropped) - adapted).max() > 1e-6, "the bias matters"


def scalings_are_pefts():
    assert scaling_of({"lora_alpha": 16}, "h.0.c_attn", 8) == 2
    assert scaling_of({"lora_alpha": 16, "use_rslora": True}, "h.0.c_attn", 4) == 8
    assert scaling_of({"lora_alpha": 16, "alpha_pattern": {"c_attn": 8}}, "h.0.c_attn", 8) == 1


def tensors_of_pytorch_do_the_same(w, kernels):
    try:
        import torch
    except ImportError:
        print("skipped: PyTorch is not there")
        return
    tensor = torch.from_numpy
    v, constant = kernels["transformer.h.0.ln_1.kernel"], kernels["transformer.h.0.ln_1.constant"]
    W, b = np.ascontiguousarray(w["transformer.h.0.attn.c_attn.weight"].T), w["transformer.h.0.attn.c_attn.bias"]
    for ours, theirs in zip(project_out(tensor(W), tensor(b), tensor(v), tensor(constant)), project_out(W, b, v, constant)):
        close("PyTorch", ours.numpy(), theirs, 1e-14)
    A, B = W[:4], W[:, :4]
    for ours, theirs in zip(drop(tensor(A), tensor(B), tensor(v), tensor(constant), 2.0), drop(A, B, v, constant, 2.0)):
        close("PyTorch", ours.numpy(), theirs, 1e-14)


def main():
    model, report, kernels = sys.argv[1:]
    w, kernels = load(model), load(kernels)
    with open(report, encoding="utf-8") as file:
        report = json.load(file)
    ids = np.frombuffer(b"This program is free software; you can redistribute it", np.uint8)
    projecting_every_reader_changes_weights_and_not_the_function(w, ids, report, kernels)
    several_directions_go_at_once()
    dropping_from_an_adapter_costs_a_bias_shift_and_nothing_else(w, ids, kernels)
    scalings_are_pefts()
    tensors_of_pytorch_do_the_same(w, kernels)


main()
