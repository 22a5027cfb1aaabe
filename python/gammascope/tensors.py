"""Tensors in memory, handed to the library as a safetensors file that is never written."""
from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ._native import GammascopeError

# Element types of PyTorch, NumPy and ml_dtypes, as safetensors spells them.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "complex64": "C64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


class Entry(NamedTuple):
    """What a header says of one tensor."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    bytes: int


class InMemory:
    """Tensors by name, as one file. Their bytes are copied in the ranges that the library asks for."""

    def __init__(self, path: str, tensors: Mapping[str, Any]) -> None:
        self.path = path
        self.entries: List[Entry] = []
        self._tensors: List[Any] = []
        self._last: Tuple[int, Any] = (-1, None)
        seen = set()
        for name, tensor in tensors.items():
            if not is_tensor(tensor):
                continue
            entry = described(name, tensor)
            place = storage(tensor)
            # Tied weights are one tensor under several names. A file has them once.
            if place is None or place not in seen:
                seen.add(place)
                self.entries.append(entry)
                self._tensors.append(tensor)
        if not self.entries:
            raise GammascopeError(f"{path} holds no tensor: give a state_dict, which maps names to tensors")

    def read(self, index: int, start: int, end: int) -> bytes:
        """The bytes `start` to `end` of one tensor, row by row and little-endian."""
        at, flat = self._last
        if at != index:
            flat = flattened(self._tensors[index])
            # Several threads read: they see either pair, never half of one.
            self._last = (index, flat)
        return flat[start:end].tobytes()


def is_tensor(value: Any) -> bool:
    """Whether a value of a state_dict is a tensor of PyTorch or an array of NumPy."""
    return hasattr(value, "dtype") and hasattr(type(value), "shape")


def is_torch(tensor: Any) -> bool:
    """Whether a tensor is one of PyTorch."""
    return hasattr(tensor, "data_ptr")


def described(name: str, tensor: Any) -> Entry:
    """The entry of a tensor in a header. Raises GammascopeError for a tensor without values of its own."""
    if is_torch(tensor):
        check(name, tensor)
    # NumPy also spells the order of bytes, but not in the name.
    kind = getattr(tensor.dtype, "name", str(tensor.dtype).rpartition(".")[2])
    dtype = DTYPES.get(kind)
    if dtype is None:
        raise GammascopeError(f"`{name}` has elements of type {kind}, which safetensors does not have: convert it first")
    size = tensor.element_size() if is_torch(tensor) else tensor.dtype.itemsize
    shape = tuple(int(length) for length in tensor.shape)
    elements = 1
    for length in shape:
        elements *= length
    return Entry(str(name), dtype, shape, elements * size)


def check(name: str, tensor: Any) -> None:
    """Raises GammascopeError if the values of a tensor of PyTorch are not all here as numbers."""
    kind = type(tensor).__name__
    if tensor.device.type == "meta":
        raise GammascopeError(f"`{name}` is on the device `meta`, so it has no values: load the weights first")
    if kind in ("DTensor", "ShardedTensor") or hasattr(tensor, "ds_shape"):
        raise GammascopeError(f"`{name}` is one shard of a tensor ({kind}): gather the whole state_dict first, or inspect the saved checkpoint")
    if kind in ("UninitializedParameter", "UninitializedBuffer"):
        raise GammascopeError(f"`{name}` has no values yet: run the module once, or load its weights first")
    # Subclasses of libraries such as torchao hold codes and scales, and no numbers of their own.
    if tensor.is_quantized or hasattr(tensor, "__tensor_flatten__"):
        what = str(tensor.dtype) if tensor.is_quantized else kind
        raise GammascopeError(f"`{name}` is quantised ({what}): dequantise the model first, or inspect the saved checkpoint")


def storage(tensor: Any) -> Optional[Tuple[Any, ...]]:
    """What two names of one tensor of PyTorch have in common. None for any other tensor."""
    if not is_torch(tensor) or tensor.numel() == 0:
        return None
    return (str(tensor.device), tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), str(tensor.dtype))


def flattened(tensor: Any) -> Any:
    """The bytes of a tensor as a flat array of NumPy. They are copied only if they are not in order on the CPU."""
    if is_torch(tensor):
        import torch

        return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    import numpy

    in_order = numpy.ascontiguousarray(tensor)
    return in_order.astype(in_order.dtype.newbyteorder("<"), copy=False).reshape(-1).view(numpy.uint8)


def of_model(model: Any, config: Any = None) -> Tuple[InMemory, Optional[str]]:
    """The tensors of a module or a state_dict, and the text of its config.json."""
    is_module = hasattr(model, "state_dict")
    name = type(model).__name__ if is_module else "state_dict"
    if is_module and config is None:
        config = getattr(model, "config", None)
    return InMemory(f"{name}.safetensors", model.state_dict() if is_module else model), config_text(model, config)


def config_text(model: Any, config: Any) -> Optional[str]:
    """A configuration as the text of a config.json, as transformers would save it beside the weights."""
    if config is None:
        return None
    if hasattr(config, "to_json_string"):
        fields: Dict[str, Any] = json.loads(config.to_json_string())
        fields["architectures"] = [type(model).__name__] if hasattr(model, "state_dict") else fields.get("architectures")
    elif isinstance(config, Mapping):
        fields = dict(config)
    else:
        return None
    return json.dumps(fields)
