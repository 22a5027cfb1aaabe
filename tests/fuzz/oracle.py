"""Reads damaged files with numpy and gguf-py: `python oracle.py KIND FOLDER` prints a line for each file 0, 1, 2, … of the folder.

A line is `refused`, or a description like that of `described` in oracle.rs.
"""

import os
import sys
import warnings
import zlib

import numpy as np


def npy(path):
    """Tokens, width and the CRC-32 of the values as float64. Only of files that Gammascope measures: floats with two dimensions or more."""
    with open(path, "rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8 or array.ndim < 2:
        raise ValueError("not activations")
    values = np.ascontiguousarray(array, dtype="<f8").reshape(-1, array.shape[-1])
    values = np.where(np.isnan(values), np.nan, values)
    return f"{values.shape[0]} {values.shape[1]} {zlib.crc32(values.tobytes())}"


def gguf(path):
    """Name (its UTF-8 in hexadecimal), elements, bytes and offset of each tensor."""
    from gguf import GGUFReader

    tensors = GGUFReader(path).tensors
    return " ".join(sorted(f"{t.name.encode().hex()}:{int(t.n_elements)}:{int(t.n_bytes)}:{int(t.data_offset)}" for t in tensors))


def described(read, path):
    try:
        return read(path)
    except Exception:  # Any error is a refusal: these libraries have no one class for it.
        return "refused"


def main():
    kind, folder = sys.argv[1:]
    warnings.simplefilter("ignore")
    read = {"npy": npy, "gguf": gguf}[kind]
    for number in range(len(os.listdir(folder))):
        print(described(read, os.path.join(folder, str(number))).replace("\n", " "))


if __name__ == "__main__":
    main()
