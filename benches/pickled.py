"""The peer for files of PyTorch: reads the scales of a file with torch.load(mmap=True), as one would by hand.

    pickled.py write FILE BLOCKS    a Llama of width 4096 in BF16, zeros but for its norms: 0.4 GB for each block
    pickled.py time FILE            prints the seconds from torch.load to the last value, without the start of Python and its imports
"""
import json
import sys
import time

import numpy as np
import torch

WIDTH, INNER, VOCABULARY = 4096, 11_008, 8_192


def write(path, blocks):
    def matrix(rows, columns):
        return torch.zeros(rows, columns, dtype=torch.bfloat16)

    def scale():
        return torch.rand(WIDTH, generator=random).add(0.5).to(torch.bfloat16)

    random = torch.Generator().manual_seed(1)
    tensors = {"model.embed_tokens.weight": matrix(VOCABULARY, WIDTH)}
    for block in range(blocks):
        name = f"model.layers.{block}"
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"]:
            tensors[f"{name}.self_attn.{part}.weight"] = matrix(WIDTH, WIDTH)
        for part in ["gate_proj", "up_proj"]:
            tensors[f"{name}.mlp.{part}.weight"] = matrix(INNER, WIDTH)
        tensors[f"{name}.mlp.down_proj.weight"] = matrix(WIDTH, INNER)
        for part in ["input_layernorm", "post_attention_layernorm"]:
            tensors[f"{name}.{part}.weight"] = scale()
    tensors["model.norm.weight"] = scale()
    torch.save(tensors, path)


def timed(path):
    began = time.perf_counter()
    tensors = torch.load(path, mmap=True, weights_only=True)
    smallest = np.inf
    for name, tensor in tensors.items():
        if "norm" in name:
            smallest = min(smallest, np.abs(tensor.double().numpy()).min())
    return {"seconds": time.perf_counter() - began, "smallest": float(smallest), "version": torch.__version__}


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]))
else:
    print(json.dumps(timed(sys.argv[2])))
