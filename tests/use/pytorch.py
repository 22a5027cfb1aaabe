"""Tests the snippets of scripts/use as their docstrings use them, on the LayerNorm sample in PyTorch and a PEFT adapter.

    pytorch.py GAMMASCOPE FOLDER      writes an adapter, exports and reports to FOLDER

Prints `N passed, N failed, N skipped`. Without torch or safetensors, the tests are skipped.
"""
import json
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
USE = os.path.join(ROOT, "scripts", "use")
SAMPLE = os.path.join(ROOT, "samples", "layernorm")
sys.path += [USE, os.path.join(HERE, "..", "support")]
from claims import conclude  # noqa: E402, I001: ends the script if PyTorch is missing

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from drop_from_lora import scaling_of  # noqa: E402
from project_out import project_out_of  # noqa: E402

BLOCKS, WIDTH, HEADS, RANK = 4, 128, 4, 4
PEFT = {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}


class Conv1D(torch.nn.Module):
    """GPT-2's linear map, stored (in, out). It adds an adapter (A, B, scaling) if one is set."""

    def __init__(self, inner, outer):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(inner, outer))
        self.bias = torch.nn.Parameter(torch.zeros(outer))
        self.adapter = None

    def forward(self, x):
        out = x @ self.weight + self.bias
        if self.adapter:
            A, B, scaling = self.adapter
            out = out + scaling * (x @ A.T) @ B.T
        return out


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn, self.c_proj = Conv1D(WIDTH, 3 * WIDTH), Conv1D(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (part.reshape(len(x), HEADS, -1).transpose(0, 1) for part in self.c_attn(x).split(WIDTH, -1))
        scores = q @ k.transpose(1, 2) / math.sqrt(WIDTH // HEADS)
        scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -math.inf)
        return self.c_proj((scores.softmax(-1) @ v).transpose(0, 1).reshape(len(x), WIDTH))


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(WIDTH, 4 * WIDTH), Conv1D(4 * WIDTH, WIDTH)

    def forward(self, x):
        x = self.c_fc(x)
        return self.c_proj(0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn = torch.nn.LayerNorm(WIDTH), Attention()
        self.ln_2, self.mlp = torch.nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = torch.nn.Embedding(256, WIDTH), torch.nn.Embedding(64, WIDTH)
        self.h = torch.nn.ModuleList([Block() for _ in range(BLOCKS)])
        self.ln_f = torch.nn.LayerNorm(WIDTH)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(len(ids)))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


class Model(torch.nn.Module):
    """The sample in float64, with the names of its file."""

    def __init__(self):
        super().__init__()
        self.transformer = Transformer()
        tensors = load_file(os.path.join(SAMPLE, "model.safetensors"))
        for name in ("wte", "wpe"):
            setattr(self.transformer, name, torch.nn.Embedding(*tensors[f"transformer.{name}.weight"].shape))
        self.load_state_dict({name: tensor.double() for name, tensor in tensors.items()}, strict=False)
        self.double().eval()
        missing = set(dict(self.named_parameters())) - set(tensors)
        assert not missing, missing

    def forward(self, ids):
        with torch.no_grad():
            return self.transformer(ids)


def apart(a, b):
    return float((a - b).abs().max())


def modules():
    for n in range(BLOCKS):
        yield f"transformer.h.{n}.attn.c_attn", 3 * WIDTH
        yield f"transformer.h.{n}.mlp.c_fc", 4 * WIDTH


def adapted(adapter):
    """Returns the sample with the adapter of a folder, applied like in PEFT, and with the bias shifts in that folder."""
    tensors, model = load_file(os.path.join(adapter, "adapter_model.safetensors")), Model()
    named = dict(model.named_modules())
    for module, _ in modules():
        A, B = (tensors[f"base_model.model.{module}.lora_{side}.weight"].double() for side in "AB")
        named[module].adapter = (A, B, scaling_of(PEFT, module, RANK))
    shifts = os.path.join(adapter, "bias_shift.safetensors")
    if os.path.exists(shifts):
        with torch.no_grad():
            for module, shift in load_file(shifts).items():
                named[module].bias += shift
    return model


def main():
    gammascope, folder = sys.argv[1:]
    path = lambda *parts: os.path.join(folder, *parts)  # noqa: E731
    run = lambda *args: subprocess.run([gammascope, *args], check=True, stdout=subprocess.PIPE).stdout  # noqa: E731
    torch.manual_seed(1)
    ids = torch.tensor(list(b"This program is free software; you can redistribute it"))
    report = json.loads(run("inspect", SAMPLE, "--json"))
    run("export", SAMPLE, "-o", path("kernels.safetensors"))
    kernels = load_file(path("kernels.safetensors"))

    before = Model()(ids)
    projected = Model()
    changed = project_out_of(projected, report, kernels)
    weights = dict(projected.named_parameters())
    left = max(apart(weights[name].T @ kernels[f"{site}.kernel"], torch.zeros(())) for name, site in zip(
        changed, (f"transformer.h.{n}.ln_{m}" for n in range(BLOCKS) for m in (1, 2))))
    moved = max(apart(weights[name], dict(Model().named_parameters())[name]) for name in changed)
    # The same edit along other directions changes the function.
    others = {name: v.flip(-1) if name.endswith(".kernel") else v for name, v in kernels.items()}
    wrong = Model()
    project_out_of(wrong, report, others)

    os.makedirs(path("adapter"), exist_ok=True)
    lora = {}
    for module, rows in modules():
        lora[f"base_model.model.{module}.lora_A.weight"] = torch.randn(RANK, WIDTH) / math.sqrt(WIDTH)
        lora[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, RANK) * 0.05
    save_file(lora, path("adapter", "adapter_model.safetensors"))
    with open(path("adapter", "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump(PEFT, file)
    with open(path("waste.json"), "wb") as file:
        file.write(run("adapter", SAMPLE, path("adapter"), "--json"))
    drop = [sys.executable, os.path.join(USE, "drop_from_lora.py"), path("waste.json"), path("kernels.safetensors"), path("adapter"), path("dropped")]
    subprocess.run(drop, check=True, stdout=subprocess.DEVNULL)
    full, less = adapted(path("adapter"))(ids), adapted(path("dropped"))(ids)
    with open(path("waste.json"), encoding="utf-8") as file:
        waste = json.load(file)["modules"]
    after = json.loads(run("adapter", SAMPLE, path("dropped"), "--json"))["modules"]

    claims = {
        f"every reader was projected: {len(changed)}": len(changed) == 2 * BLOCKS,
        f"what is left along the directions is rounding: {left:.1e}": left < 1e-12,
        f"the weights did move: {moved:.1e}": moved > 1e-3,
        f"and the logits did not: {apart(projected(ids), before):.1e}": apart(projected(ids), before) < 1e-10,
        f"along other directions they do: {apart(wrong(ids), before):.1e}": apart(wrong(ids), before) > 1e-3,
        f"the adapter does something: {apart(full, before):.1e}": apart(full, before) > 1e-2,
        f"without its waste it does the same, to the rounding of F32: {apart(less, full):.1e}": apart(less, full) < 1e-5,
        "every module wasted some, and wastes none now": len(waste) == 2 * BLOCKS
        and all(module["wasted"] > 1e-4 for module in waste)
        and all(module["wasted"] < 1e-12 for module in after),
    }
    return conclude(claims)


if __name__ == "__main__":
    sys.exit(main())
