#!/usr/bin/env python3
"""Remove kernel directions from every linear map that reads them, without changing what the model computes.

    gammascope inspect MODEL --json > report.json
    gammascope export MODEL -o kernels.safetensors

    from project_out import project_out_of
    project_out_of(model, report, kernels)       # a PyTorch model, in place
    W, b = project_out(W, b, v, constant)        # one map: NumPy arrays or PyTorch tensors

Why it works: y is the output of a norm, with its shift, and v·y = c for every token (`SITE.kernel`, `SITE.constant`). So for W (m × d)

    (W − (W v) vᵀ) y = W y − (W v) c,    and    b + (W v) c    absorbs the constant.

The directions of one site are orthonormal, so several (zero scales) can go at once. In exact arithmetic nothing changes. Weights that
are rounded to BF16 afterwards change by that rounding. v and c belong to the weights that they were exported from.
"""


def project_out(W, b, v, constant):
    """W (m × d), its bias b (m) or None, v (d or k × d), constant (k): the map without v, and the bias that goes with it.

    If b is None, the second is the bias that the map then needs, (W v) c: zero for a norm without a shift. Arrays of one kind and precision.
    """
    v = v.reshape(-1, W.shape[-1])
    along = W @ v.T  # m × k
    shift = along @ constant
    return W - along @ v, shift if b is None else b + shift


def readers(report):
    """(site, weight, bias or None) of every reader whose directions are dead, from `gammascope inspect --json`.

    Left out: tied unembeddings, whose matrix also acts at the input; readers without a bias that gain a constant by it.
    """
    for norm in report["norms"]:
        for reader in norm["readers"]:
            dead = reader["dead"]
            if dead["tied"] == 0 and dead["constant_shift"] == 0 and dead["outright"] + dead["with_bias_shift"] > 0:
                yield norm["name"], reader["name"], reader["bias"]


def stored_in_out(shape, width):
    """Whether a weight is stored (in, out), as GPT-2's Conv1D is. For a square weight this is unknown: see `project_out_of`."""
    return shape[0] == width and shape[-1] != width


def project_out_of(model, report, kernels, transposed=()):
    """Every reader of a PyTorch model, in place; returns the names of the weights that were changed.

    `report` is the parsed report, `kernels` what safetensors.torch.load_file gives of the export. Weights are named as in the file
    that was inspected. Name square weights that are stored (in, out) in `transposed`. Computed in float64.
    """
    import torch

    parameters = dict(model.named_parameters())
    changed = []
    with torch.no_grad():
        for site, weight, bias in readers(report):
            if f"{site}.kernel" not in kernels or weight not in parameters:
                continue
            W = parameters[weight]
            if W.dim() != 2:
                continue  # packed experts: call `project_out` for each
            b = parameters[bias] if bias in parameters else None
            v = kernels[f"{site}.kernel"].to(W.device, torch.float64)
            constant = kernels[f"{site}.constant"].to(W.device, torch.float64)
            flip = weight in transposed or stored_in_out(W.shape, v.shape[-1])
            matrix = W.double().T if flip else W.double()
            matrix, shifted = project_out(matrix, None if b is None else b.double(), v, constant)
            W.copy_(matrix.T if flip else matrix)
            if b is not None:
                b.copy_(shifted)
            changed.append(weight)
    return changed
