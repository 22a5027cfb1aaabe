"""The peer: reads tensors with the safetensors library, as one would by hand.

    scales.py FOLDER < names.json      names.json: [[file, tensor], …]

Prints the seconds from the first open to the last value, without the start of Python and its imports.
"""
import json
import os
import sys
import time

import ml_dtypes  # noqa: F401, teaches numpy BF16
import numpy as np
from safetensors import safe_open

folder, wanted = sys.argv[1], json.load(sys.stdin)
began = time.perf_counter()
by_file = {}
for file, tensor in wanted:
    by_file.setdefault(file, []).append(tensor)
smallest = np.inf
for file, tensors in by_file.items():
    with safe_open(os.path.join(folder, file), framework="np") as opened:
        for tensor in tensors:
            smallest = min(smallest, np.abs(opened.get_tensor(tensor).astype(np.float64)).min())
print(json.dumps({"seconds": time.perf_counter() - began, "smallest": float(smallest)}))
