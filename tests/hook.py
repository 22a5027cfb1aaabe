"""Tests the hook that the page shows, on a tiny model with both kinds of norm. The command line measures the result.

    hook.py GAMMASCOPE FOLDER      writes a checkpoint and its activations to FOLDER and measures them

Prints `N passed, N failed, N skipped`. Without torch or safetensors, the tests are skipped.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# These come before this folder, which has a file with the same name as the hook.
sys.path[:0] = [os.path.join(HERE, "support"), os.path.join(HERE, "..", "scripts", "activations")]
from claims import conclude  # noqa: E402, I001: ends the script if PyTorch is missing

import torch  # noqa: E402
from hook import record  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

WIDTH, BATCHES, BATCH, SEQUENCE = 32, 3, 4, 16


class RmsNorm(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class Block(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.input_layernorm = norm(WIDTH)
        self.mlp = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        y = self.input_layernorm(x)
        change = self.mlp(y)
        y.zero_()  # in place: the recorded values must stay
        return x + change


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(500, WIDTH)
        self.layers = torch.nn.ModuleList([Block(torch.nn.LayerNorm), Block(RmsNorm)])
        self.norm = torch.nn.LayerNorm(WIDTH)

    def forward(self, ids):
        x = self.embed(ids) + 0.3
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def measured(gammascope, folder):
    torch.manual_seed(1)
    model = Model().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.rand_like(parameter) + 0.5)
        save = record(model)
        for _ in range(BATCHES):
            model(torch.randint(500, (BATCH, SEQUENCE)))
    save_file(model.state_dict(), os.path.join(folder, "model.safetensors"))
    activations = os.path.join(folder, "norms.activations.safetensors")
    save(activations)
    command = [gammascope, "measure", folder, "--activations", activations, "--json"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return load_file(activations), {site["name"]: site for site in report["verification"]["sites"]}


def main():
    tensors, sites = measured(*sys.argv[1:3])
    claims = {
        "every norm is recorded under its module's name": set(tensors) == {"layers.0.input_layernorm", "layers.1.input_layernorm", "norm"},
        "batches are put end to end, tokens by width": all(t.shape == (BATCHES * BATCH * SEQUENCE, WIDTH) for t in tensors.values()),
        "what changes in place later was copied before": all(t.abs().max() > 0.1 for t in tensors.values()),
        "a LayerNorm is measured to subtract the mean": sites["norm"]["verdict"] == sites["layers.0.input_layernorm"]["verdict"] == "mean_subtracting",
        "an RMSNorm is measured not to": sites["layers.1.input_layernorm"]["verdict"] == "not_mean_subtracting",
    }
    return conclude(claims)


if __name__ == "__main__":
    sys.exit(main())
