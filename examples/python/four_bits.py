"""Does it help quantisation to remove dead directions first? Rounds the readers of each LayerNorm to 4 bits before and after.

    gammascope fold MODEL -o FOLDED --canonical
    python four_bits.py MODEL FOLDED

Both are folders with one `model.safetensors`. Every group of 128 inputs of an output gets 16 levels between its least and its greatest weight
(round to nearest). The error is that of the output: ‖E Γ P‖/‖W Γ P‖, with the rounding error E, Γ = diag γ, and P, which takes off the mean. That is
the root mean square over inputs x̂ of equal variance. A rounding error along the dead direction costs nothing, so P removes it from both.
"""
import json
import os
import sys

import torch
from safetensors.torch import load_file

GROUP = 128
LEVELS = 15


def rounded(weight):
    """Rounds a matrix (outputs × inputs) to 4 bits in groups of inputs."""
    pieces = []
    for piece in weight.split(GROUP, dim=1):
        least = piece.amin(dim=1, keepdim=True)
        step = ((piece.amax(dim=1, keepdim=True) - least) / LEVELS).clamp(min=1e-30)
        pieces.append(((piece - least) / step).round() * step + least)
    return torch.cat(pieces, dim=1)


def error(weight, scale):
    """The relative error of the output of a matrix (outputs × inputs) behind a LayerNorm with this scale."""

    def live(matrix):
        scaled = matrix * scale
        return (scaled - scaled.mean(dim=1, keepdim=True)).norm()

    return (live(rounded(weight) - weight) / live(weight)).item()


def main():
    folders = sys.argv[1:3]
    before, after = (load_file(os.path.join(folder, "model.safetensors")) for folder in folders)
    with open(os.path.join(folders[1], "fold.json"), encoding="utf-8") as file:
        norms = json.load(file)["norms"]
    errors = []
    for norm in norms:
        scale = before[f"{norm['name']}.weight"].double()
        for reader in norm["readers"]:
            if reader["canonical"]["state"] != "done":
                continue
            pair = [tensors[reader["name"]].double() for tensors in (before, after)]
            # The map of Conv1D is stored inputs × outputs.
            if len(pair[0].shape) == 2 and pair[0].shape[1] != len(scale):
                pair = [matrix.T for matrix in pair]
            errors.append((reader["name"], *(error(matrix, scale) for matrix in pair)))
    if not errors:
        sys.exit("No reader of a LayerNorm lost a dead part.")
    mean = [sum(row[at] ** 2 for row in errors) ** 0.5 / len(errors) ** 0.5 for at in (1, 2)]
    name, first, second = min(errors, key=lambda row: row[2] / row[1])
    print(f"{len(errors)} readers: {mean[0]:.4f} before, {mean[1]:.4f} after ({mean[1] / mean[0] - 1:+.2%})")
    print(f"most in {name}: {first:.4f} before, {second:.4f} after ({second / first - 1:+.2%})")


if __name__ == "__main__":
    main()
