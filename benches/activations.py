"""Activations for the measurement's benchmark, and its peer.

    activations.py write FOLDER SITES TOKENS WIDTH    a checkpoint of LayerNorms and their outputs, in f32
    activations.py measure FOLDER                     the covariance of each in float64 and its eigenvalues and vectors, by
                                                      numpy, on all cores; prints the seconds, without the imports
"""
import json
import os
import sys
import time

import numpy as np
from safetensors.numpy import load_file, save_file


def write(folder, sites, tokens, width):
    random = np.random.default_rng(0)
    norms, outputs = {}, {}
    for site in [f"h.{layer // 2}.ln_{layer % 2 + 1}" for layer in range(sites - 1)] + ["ln_f"]:
        scale = random.uniform(0.5, 1.5, width).astype(np.float32)
        shift = random.normal(0, 0.1, width).astype(np.float32)
        stream = random.normal(0, 1, (tokens, width)).astype(np.float32) * random.uniform(0.5, 2, width).astype(np.float32)
        centred = stream - stream.mean(1, keepdims=True)
        normalised = centred / np.sqrt((centred**2).mean(1, keepdims=True) + np.float32(1e-5))
        outputs[site] = np.ascontiguousarray(normalised * scale + shift, dtype=np.float32)
        norms |= {f"{site}.weight": scale, f"{site}.bias": shift}
    os.makedirs(folder, exist_ok=True)
    save_file(norms, os.path.join(folder, "model.safetensors"))
    save_file(outputs, os.path.join(folder, "y.activations.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as config:
        json.dump({"model_type": "gpt2", "n_embd": width, "layer_norm_epsilon": 1e-5}, config)


def measure(folder):
    began = time.perf_counter()
    least = []
    for outputs in load_file(os.path.join(folder, "y.activations.safetensors")).values():
        covariance = np.cov(outputs.astype(np.float64), rowvar=False, bias=True)
        least.append(float(np.linalg.eigh(covariance)[0][0]))
    print(json.dumps({"seconds": time.perf_counter() - began, "least": least}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        measure(sys.argv[2])
