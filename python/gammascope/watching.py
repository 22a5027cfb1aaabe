"""Measuring the norms of a torch module on what it computes."""
from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from . import _native
from ._native import GammascopeError
from .report import Report
from .report import inspect as inspected
from .tensors import InMemory, of_model

if TYPE_CHECKING:
    import torch

# With as many tokens as this times the width, the numbers of a measurement are good estimates.
ENOUGH = 4


def watch(model: torch.nn.Module, *, tokens: Optional[int] = None, sites: Optional[Sequence[str]] = None) -> Watch:
    """Measures the norms of a model on all that it computes inside a `with` block.

        with gammascope.watch(model) as watched:
            for batch in batches:
                model(**batch)
        watched.report.measured["sites"]

    Hooks keep the outputs of each norm, n tokens × d channels in the type of the model, on the CPU. At the end of the block they are
    measured exactly, as `gammascope measure` measures a file of them (docs/measurement.md). `tokens` is the most that are kept of each
    norm, by default 4·d; the first ones are kept. So the memory is at most `tokens`·d values for each norm, however long the block runs.
    `sites` are the names of the norms to measure, by default all.

    Tokens that a two-dimensional `attention_mask` (batch × tokens) marks as padding are left out. The mask is that of the model, or of
    the module inside it that is called with its own. The model may be on any device, and run in float64, float32, float16 or bfloat16.

    Raises GammascopeError: at once if the model has no norm or no values, and at the end if nothing could be measured.
    """
    return Watch(model, tokens, sites)


class Watch:
    """What `watch` returns. It can be entered once."""

    def __init__(self, model: torch.nn.Module, tokens: Optional[int], sites: Optional[Sequence[str]]) -> None:
        if not hasattr(model, "named_modules"):
            raise GammascopeError("watch needs a torch module: give the model itself")
        if tokens is not None and tokens < 1:
            raise GammascopeError("`tokens` is the most tokens that are kept of each norm: give 1 or more")
        widths = {norm["name"]: norm["width"] for norm in inspected(model, no_weights=True).norms}
        missing = [site for site in sites or () if site not in widths]
        if missing:
            raise GammascopeError(f"the model has no norm `{missing[0]}`; the names are those of gammascope.inspect(model).norms")
        modules = dict(model.named_modules(remove_duplicate=False))
        chosen = [name for name in widths if sites is None or name in sites]
        #: Names of norms that no module of the model computes, so that they cannot be measured.
        self.unseen: List[str] = [name for name in chosen if name not in modules]
        self._kept = {name: Kept(name, widths[name], tokens or ENOUGH * widths[name]) for name in chosen if name in modules}
        if not self._kept:
            raise GammascopeError("no module of the model computes its norms, so there is nothing to watch: save their outputs, and use `gammascope.measure`")
        self._model = model
        self._modules = modules
        self._masks: List[Optional[torch.Tensor]] = []
        self._hooks: List[Any] = []
        self._report: Optional[Report] = None

    @property
    def report(self) -> Report:
        """The report of the model with the measurement, after the block has ended."""
        if self._report is None:
            raise GammascopeError("nothing is measured yet: the measurement is there after the `with` block has ended")
        return self._report

    @property
    def tokens(self) -> Dict[str, int]:
        """How many tokens of each norm are kept. The others were padding, or came after the most that are kept."""
        return {name: kept.tokens for name, kept in self._kept.items()}

    def __enter__(self) -> Watch:
        if self._hooks or self._report is not None:
            raise GammascopeError("this watch has been used: call gammascope.watch again")
        for name, module in self._model.named_modules():
            names = list(inspect.signature(module.forward).parameters)
            if name == "" or "attention_mask" in names and any(site.startswith(f"{name}.") for site in self._kept):
                self._hooks.append(Forward(module, names, self._masks))
        for name, kept in self._kept.items():
            self._hooks.append(self._modules[name].register_forward_hook(self._keeping(kept)))
        return self

    def __exit__(self, kind: Any, _error: Any, _traceback: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        if kind is not None:
            return
        outputs = {name: kept.outputs() for name, kept in self._kept.items() if kept.tokens > 0}
        if not outputs:
            raise GammascopeError("no norm ran inside the `with` block: call the model there")
        tensors, config = of_model(self._model)
        self._report = Report(_native.measure_tensors(tensors, config, InMemory("watch.safetensors", outputs), "watch"))
        for kept in self._kept.values():
            kept.release()

    def _keeping(self, kept: Kept) -> Any:
        def hook(_module: torch.nn.Module, _args: Any, output: Any) -> None:
            y = output[0] if isinstance(output, tuple) else output
            kept.add(y, self._masks[-1] if self._masks else None)

        return hook


class Forward:
    """A module whose `forward` notes the attention mask that it is called with, until `remove`."""

    def __init__(self, module: torch.nn.Module, names: List[str], masks: List[Optional[torch.Tensor]]) -> None:
        # A hook would do, but those of PyTorch 1 do not see keyword arguments.
        self._module = module
        self._replaced = module.__dict__.get("forward")
        forward = module.forward

        @functools.wraps(forward)
        def noting(*args: Any, **kwargs: Any) -> Any:
            above = masks[-1] if masks else None
            masks.append(mask_of({**dict(zip(names, args)), **kwargs}, above))
            try:
                return forward(*args, **kwargs)
            finally:
                masks.pop()

        module.forward = noting

    def remove(self) -> None:
        """Gives the module its own `forward` back."""
        if self._replaced is None:
            del self._module.forward
        else:
            self._module.forward = self._replaced


class Kept:
    """The outputs of one norm: at most `most` tokens × `width` channels, on the CPU."""

    def __init__(self, name: str, width: int, most: int) -> None:
        self.name = name
        self.tokens = 0
        self._width = width
        self._most = most
        self._values: Optional[torch.Tensor] = None

    def add(self, y: torch.Tensor, mask: Optional[torch.Tensor]) -> None:
        """Keeps the tokens of `y`, any shape × d, that are no padding."""
        import torch

        room = self._most - self.tokens
        if room == 0:
            return
        if y.ndim == 0 or y.shape[-1] != self._width:
            shape = " × ".join(map(str, y.shape))
            raise GammascopeError(f"`{self.name}` gave {shape} values, and its last axis is not the {self._width} channels of its scale: leave it out with `sites`")
        # Values made in inference mode could not be written outside it.
        with torch.inference_mode(False), torch.no_grad():
            rows = unpadded(y.detach(), mask).reshape(-1, self._width)[:room]
            if self._values is None:
                self._values = torch.empty((self._most, self._width), dtype=y.dtype)
            if self._values.dtype != y.dtype:
                raise GammascopeError(f"`{self.name}` gave {self._values.dtype} first and {y.dtype} now: watch one type at a time")
            self._values[self.tokens : self.tokens + len(rows)].copy_(rows)
        self.tokens += len(rows)

    def outputs(self) -> torch.Tensor:
        """The tokens that were kept, n × d."""
        return self._values[: self.tokens]

    def release(self) -> None:
        """Frees the memory of the tokens."""
        self._values = None


def mask_of(given: Dict[str, Any], above: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    """The mask (batch × tokens) of a module that is called with these arguments, inside one with the mask `above`."""
    mask = given.get("attention_mask")
    if getattr(mask, "ndim", 0) == 2:
        return mask
    # The mask above a decoder without its own is that of the encoder.
    of_encoder = mask is None and given.get("encoder_hidden_states") is not None
    return None if of_encoder else above


def unpadded(y: torch.Tensor, mask: Optional[torch.Tensor]) -> torch.Tensor:
    """The tokens of `y` (batch × tokens × …, or batch × heads × tokens × …) that the mask (batch × tokens) keeps. All of them if the
    mask is of other tokens, such as those of another tower."""
    for axis in range(1, y.ndim - 1):
        if mask is not None and (y.shape[0], y.shape[axis]) == tuple(mask.shape):
            return y.movedim(axis, 1)[mask.to(y.device) != 0]
    return y
