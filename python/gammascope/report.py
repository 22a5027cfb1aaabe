"""Inspecting a checkpoint, and the report."""
from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from . import _native
from ._native import GammascopeError
from .tensors import of_model

if TYPE_CHECKING:
    import numpy
    import pandas
    import torch

    Path = Union[str, "os.PathLike[str]"]
    Source = Union[Path, Sequence[Path], Mapping[str, Any], "torch.nn.Module"]


class Norms(List[Dict[str, Any]]):
    """The norms of a model in network order, each a dict as in the JSON report: name, kind, confidence, width (d), kernel, readers, …"""

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each norm. The columns of nested values have dotted names, such as `kernel.form`. Needs pandas."""
        import pandas

        return pandas.json_normalize(self)


class Report:
    """What was found in a checkpoint. `inspect` and `watch` make it."""

    def __init__(self, inspected: _native.Inspected) -> None:
        self._inspected = inspected
        self._json = inspected.json()
        #: The whole report: the JSON of the schema gammascope.report/1.
        self.data: Dict[str, Any] = json.loads(self._json)

    @property
    def verdict(self) -> str:
        """What the norms of the model are and do, in one sentence."""
        return self.data["model"]["sentence"]

    @property
    def norms(self) -> Norms:
        """Every norm, in network order."""
        return Norms(self.data["norms"])

    @property
    def warnings(self) -> List[Dict[str, Any]]:
        """What you should know before you rely on the rest: dicts with `code`, `message` and `where`."""
        return self.data["warnings"]

    @property
    def measured(self) -> Optional[Dict[str, Any]]:
        """The measurement on activations, with the numbers of each site in `sites` (docs/measurement.md). None if nothing was measured."""
        return self.data["verification"]

    def kernel(self, site: str) -> numpy.ndarray:
        """The kernel of a norm, as float64 without a unit.

        v = γ⁻¹/‖γ⁻¹‖ with shape (d,) for a LayerNorm. If k channels have a scale of exactly zero, the k unit vectors of these channels
        with shape (k, d). For every output y of the norm, v·y is the same number.

        `site` is the name of the norm, or the end of it if that is unique. Raises GammascopeError if there is no such norm, or if it
        has no kernel, as an RMSNorm without a zero scale.
        """
        import numpy

        width, direction, channels = self._inspected.kernel(site)
        if direction is not None:
            return numpy.frombuffer(direction, "<f8").astype(float)
        rows = numpy.zeros((len(channels), width))
        rows[numpy.arange(len(channels)), channels] = 1.0
        return rows

    def dead(self) -> Dict[str, Any]:
        """The parameter directions that change nothing: `outright`, `with_bias_shift`, `constant_shift` and `tied` (directions),
        `share` (of the parameters of all readers, 0 to 1), and what was assumed."""
        return self.data["dead_parameters"]

    def json(self) -> str:
        """The text that `gammascope inspect --json` prints, byte for byte."""
        return self._json

    def html(self, *, names: bool = True) -> str:
        """The report as one HTML file, with figures and tables and without weights. Without `names`, numbers replace the names of
        files, tensors and norms."""
        return self._inspected.html(names)

    def _repr_html_(self) -> str:
        return self._inspected.piece()

    def __repr__(self) -> str:
        return f"<gammascope.Report {self.data['checkpoint']['name']}: {self.verdict}>"


def inspect(
    source: Source,
    *,
    no_weights: bool = False,
    config: Any = None,
    hub: Optional[str] = None,
    token: Optional[str] = None,
) -> Report:
    """Says which norms a model has, which directions are dead, and which maps read them.

    `source` is one of these:

    - the path of a file or folder, or a list of shards;
    - an address: a URL, or org/model[@revision] on a hub. A few kilobytes of it are read;
    - a state_dict: tensors of PyTorch, on any device, or arrays of NumPy by name. `config` may be its configuration: a dict, or an
      object of transformers;
    - a torch module. Its `config` is read too, if it has one.

    With `no_weights`, only the norms are read, without a sample of the weights that write the residual stream. `hub` and `token` are
    the options of the terminal. Raises GammascopeError.
    """
    if isinstance(source, (str, os.PathLike)):
        source = [source]
    if isinstance(source, Mapping) or hasattr(source, "state_dict"):
        tensors, text = of_model(source, config)
        report = Report(_native.inspect_tensors(tensors, text, not no_weights))
        if not report.norms:
            raise GammascopeError(f"{tensors.path} has no norm that Gammascope knows: {report.verdict}")
        return report
    if config is not None:
        raise GammascopeError("`config` belongs to a state_dict; beside a file, config.json is read")
    options = ["--no-weights"] if no_weights else []
    for name, value in (("--hub", hub), ("--token", token)):
        options += [] if value is None else [name, value]
    return Report(_native.inspect([*options, "--", *map(os.fspath, source)]))
