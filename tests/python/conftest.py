"""What the tests of the Python package share. `scripts/test.mjs` installs the wheel in the interpreter that runs them, and sets
GAMMASCOPE to the terminal that cargo builds."""
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINILM = ROOT / ".cache/models/all-MiniLM-L6-v2"


@pytest.fixture
def sample():
    """A small trained checkpoint, by its name."""
    return lambda name: ROOT / "samples" / name


@pytest.fixture
def minilm():
    if not MINILM.exists():
        pytest.skip("needs all-MiniLM-L6-v2 in .cache/models")
    return MINILM


@pytest.fixture
def terminal():
    """Runs the terminal that cargo builds, and returns its output."""
    program = os.environ.get("GAMMASCOPE")
    if not program:
        pytest.skip("needs the terminal in GAMMASCOPE")
    return lambda *arguments: subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout.decode()


@pytest.fixture
def packaged():
    """Runs the terminal of the wheel, and returns what became of it."""
    program = Path(sys.executable).with_name("gammascope.exe" if os.name == "nt" else "gammascope")
    return lambda *arguments: subprocess.run([program, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False)


def read_safetensors(path):
    """Name → (type, shape, bytes)."""
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    at = lambda entry: data[8 + size + entry["data_offsets"][0] : 8 + size + entry["data_offsets"][1]]
    return {name: (entry["dtype"], entry["shape"], at(entry)) for name, entry in header.items()}


def write_safetensors(path, tensors):
    """Name → (type, shape, bytes), as a file."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
