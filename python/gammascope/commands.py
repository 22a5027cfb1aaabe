"""Commands of the terminal as functions, with the same names and options."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Union

from ._native import GammascopeError

if TYPE_CHECKING:
    Path = Union[str, "os.PathLike[str]"]

DONE, WARNED = 0, 3


def run(command: str, paths: Sequence[Path], **options: Any) -> str:
    """Runs a command of the terminal in a process of its own, which an interrupt ends at once. Returns what it prints.

    An option is left out if its value is None or False. True stands for an option without a value, a list for one that is given
    several times. Raises GammascopeError with the sentence of the terminal.
    """
    words: List[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        option = "--" + name.replace("_", "-")
        values = value if isinstance(value, (list, tuple)) else [value]
        for one in values:
            words += [option] if one is True else [f"{option}={os.fspath(one) if isinstance(one, os.PathLike) else one}"]
    arguments = json.dumps(["gammascope", command, *words, "--", *map(os.fspath, paths)])
    # A folder `gammascope` where the caller works is not this package.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    program = [sys.executable, "-m", "gammascope.piped"]
    done = subprocess.run(program, input=arguments, capture_output=True, encoding="utf-8", env=environment, check=False)
    if done.returncode not in (DONE, WARNED):
        raise GammascopeError(done.stderr.strip().removeprefix("error:").strip())
    return done.stdout


def reported(command: str, paths: Sequence[Path], **options: Any) -> Dict[str, Any]:
    """Runs a command with `--json`, and reads its report."""
    return json.loads(run(command, paths, json=True, **options))


def several(paths: Union[Path, Sequence[Path]]) -> Sequence[Path]:
    """One path, or several shards, as a list."""
    return [paths] if isinstance(paths, (str, os.PathLike)) else paths


def compare(
    before: Path,
    after: Path,
    *,
    activations_before: Optional[Path] = None,
    activations_after: Optional[Path] = None,
    no_weights: bool = False,
    hub: Optional[str] = None,
    token: Optional[str] = None,
) -> Dict[str, Any]:
    """Compares two checkpoints norm by norm, as `gammascope compare`. Returns the report of the schema gammascope.comparison/1."""
    return reported(
        "compare",
        [before, after],
        activations_before=activations_before,
        activations_after=activations_after,
        no_weights=no_weights,
        hub=hub,
        token=token,
    )


def adapter(
    base: Path, adapter: Path, *, no_weights: bool = False, hub: Optional[str] = None, token: Optional[str] = None
) -> Dict[str, Any]:
    """Measures how much of an adapter (LoRA, LoKr, LoHa, VeRA) has no effect, as `gammascope adapter`. Returns the report of the schema
    gammascope.adapter/1."""
    return reported("adapter", [base, adapter], no_weights=no_weights, hub=hub, token=token)


def export(
    checkpoint: Union[Path, Sequence[Path]],
    output: Path,
    *,
    format: Optional[str] = None,
    site: Union[None, str, Sequence[str]] = None,
    no_weights: bool = False,
    hub: Optional[str] = None,
    token: Optional[str] = None,
) -> str:
    """Writes the kernel directions of all norms, or of those named by `site`, to the file `output`, as `gammascope export`.

    `format` is "safetensors" (SITE.kernel of shape (d,) or (k, d), SITE.constant of shape (1,) or (k,), float64) or "json". Returns the
    path of the file.
    """
    run("export", several(checkpoint), output=output, format=format, site=site, no_weights=no_weights, hub=hub, token=token)
    return os.fspath(output)


def measure(
    checkpoint: Union[Path, Sequence[Path]],
    *,
    activations: Optional[Path] = None,
    alone: bool = False,
    site: Optional[str] = None,
    device: Optional[str] = None,
    hub: Optional[str] = None,
    token: Optional[str] = None,
) -> Dict[str, Any]:
    """Measures norms on activations in a file, n tokens × d channels for each, as `gammascope measure`. With `alone`, it measures them
    on random inputs. Returns the report of the schema gammascope.report/1, or gammascope.norm_alone/1."""
    return reported(
        "measure", several(checkpoint), activations=activations, alone=alone, site=site, device=device, hub=hub, token=token
    )


def verify(
    checkpoint: Union[Path, Sequence[Path]],
    *,
    tokens: Optional[int] = None,
    sequence: Optional[int] = None,
    blocks: Optional[int] = None,
    plan: bool = False,
    text: Optional[Path] = None,
    ids: Optional[Path] = None,
    uniform: bool = False,
    images: Optional[Sequence[Path]] = None,
    sounds: Optional[Sequence[Path]] = None,
    pixels: Optional[Path] = None,
    assume: Union[None, str, Sequence[str]] = None,
    sites: Optional[str] = None,
    preservation: bool = False,
    random_init: Optional[int] = None,
    device: Optional[str] = None,
    memory: Union[None, int, str] = None,
    hub: Optional[str] = None,
    token: Optional[str] = None,
) -> Dict[str, Any]:
    """Runs a model, and measures its norms and its residual stream, as `gammascope verify`. Returns the report of the schema
    gammascope.report/1. `tokens` counts tokens, `sequence` tokens per sequence, `memory` is a size such as "6GB", and `random_init` is
    a seed."""
    return reported(
        "verify",
        several(checkpoint),
        tokens=tokens,
        sequence=sequence,
        blocks=blocks,
        plan=plan,
        text=text,
        ids=ids,
        uniform=uniform,
        images=images,
        sounds=sounds,
        pixels=pixels,
        assume=assume,
        sites=sites,
        preservation=preservation,
        random_init=random_init,
        device=device,
        memory=memory,
        hub=hub,
        token=token,
    )
