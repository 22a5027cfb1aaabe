#!/usr/bin/env python3
"""Remove the part of each A of a LoRA adapter that has no effect: the part along the dead direction of its norm.

    gammascope adapter BASE ADAPTER --json > waste.json
    gammascope export BASE -o kernels.safetensors
    python3 drop_from_lora.py waste.json kernels.safetensors ADAPTER OUT

    A, shift = drop(A, B, v, constant, scaling)  # one module: NumPy arrays or PyTorch tensors

Why it works: the module adds s·B A y, and v·y = c for every token, so A (r × d) along v adds the constant s·B (A v) c for any input:

    s·B (A − (A v) vᵀ) y = s·B A y − s·B (A v) c.

So only a constant is lost. If you add `shift` = s·B (A v) c to the bias of the module, nothing is lost. PEFT's adapters have no bias
of their own, so the shifts go to OUT/bias_shift.safetensors, one for each module whose shift is not zero. They matter only if the norm
has a shift. This works for LoRA under PEFT's names. It does not work for DoRA, or while LoRA dropout is on. Modules that read a norm of
the adapter stay as they are, because the exported kernels are those of the base.
"""
import json
import math
import os
import shutil
import sys


def drop(A, B, v, constant, scaling):
    """A (r × d), B (m × r), v (d or k × d), constant (k), scaling s: A without v, and the bias (m) that it added. One kind of array."""
    v = v.reshape(-1, A.shape[-1])
    along = A @ v.T  # r × k
    return A - along @ v, scaling * (B @ (along @ constant))


def scaling_of(config, module, rank):
    """PEFT's s: alpha / r, or alpha / √r (rsLoRA); a pattern may give a module another alpha."""
    patterns = config.get("alpha_pattern") or {}
    own = (alpha for name, alpha in patterns.items() if module == name or module.endswith("." + name))
    alpha = next(own, config.get("lora_alpha", rank))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    report, kernels, adapter, out = sys.argv[1:]
    try:  # PyTorch knows BF16, which NumPy does not
        from safetensors.torch import load_file, save_file
    except ImportError:
        from safetensors.numpy import load_file, save_file

    with open(report, encoding="utf-8") as file:
        modules = json.load(file)["modules"]
    with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    kernels, tensors = load_file(kernels), load_file(os.path.join(adapter, "adapter_model.safetensors"))
    names = {name.removeprefix("base_model.model.").split(".lora_A")[0]: name for name in tensors if ".lora_A" in name}
    f64 = (lambda t: t.double()) if hasattr(next(iter(tensors.values())), "double") else (lambda t: t.astype("f8"))
    like = lambda t, old: t.to(old.dtype).contiguous() if hasattr(t, "to") else t.astype(old.dtype)  # noqa: E731

    shifts, left = {}, 0
    for module in modules:
        if module.get("method", "lora") != "lora" or module.get("own_scale") or module["module"] not in names:
            left += 1
            continue
        name, site = names[module["module"]], module["site"]
        if f"{site}.kernel" not in kernels:
            continue  # nothing is wasted there
        A, B = tensors[name], tensors[name.replace(".lora_A", ".lora_B")]
        s = scaling_of(config, module["module"], A.shape[0])
        dropped, shift = drop(f64(A), f64(B), kernels[f"{site}.kernel"], kernels[f"{site}.constant"], s)
        tensors[name] = like(dropped, A)
        if abs(shift).max() > 0:
            shifts[module["module"]] = shift
    os.makedirs(out, exist_ok=True)
    shutil.copy(os.path.join(adapter, "adapter_config.json"), out)
    save_file(tensors, os.path.join(out, "adapter_model.safetensors"))
    if shifts:
        save_file(shifts, os.path.join(out, "bias_shift.safetensors"))
    print(f"{out}: {len(modules) - left} modules, {len(shifts)} bias shifts" + (f"; {left} modules left as they are" if left else ""))


if __name__ == "__main__":
    main()
