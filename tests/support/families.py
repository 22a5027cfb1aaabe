"""Shared by the tests of folding: the models of tests/forward in float32."""
import json
import os

from safetensors.torch import load_file, save_file

FORWARD = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "forward")


def in_f32(family, folder, changes=None):
    """Writes a model of tests/forward in float32 to a new folder, with changed fields of its configuration."""
    source = os.path.join(FORWARD, family)
    os.makedirs(folder)
    tensors = {name: tensor.float() for name, tensor in load_file(os.path.join(source, "model.safetensors")).items()}
    if family == "nemotron":  # its random scales do not show that they are γ − 1
        tensors = {name: tensor - 1 if name.endswith("norm.weight") else tensor for name, tensor in tensors.items()}
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = {**json.load(file), "dtype": "float32", **(changes or {})}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
