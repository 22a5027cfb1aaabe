"""Gammascope finds the dead directions of a transformer from the scales of its norms.

    import gammascope

    report = gammascope.inspect("all-MiniLM-L6-v2/")   # or an address, a state_dict, or a torch module
    report.verdict                                     # one sentence
    report.norms.to_pandas()                           # one row for each norm
    report.kernel("encoder.layer.5.output.LayerNorm")  # v, with shape (d,): the output of the norm never varies along it

    with gammascope.watch(model) as watched:           # measures the norms on what the model computes here
        model(**batch)
    watched.report.measured

`compare`, `adapter`, `export`, `measure` and `verify` have the options of the commands of the terminal. The package also brings the
terminal itself: `gammascope --help`. n is tokens, and d is the width of a norm.
"""
from ._native import GammascopeError, __version__
from .commands import adapter, compare, export, measure, verify
from .report import Norms, Report, inspect
from .watching import Watch, watch

__all__ = [
    "GammascopeError",
    "Norms",
    "Report",
    "Watch",
    "__version__",
    "adapter",
    "compare",
    "export",
    "inspect",
    "measure",
    "verify",
    "watch",
]
