"""Record the outputs of the norms of a PyTorch model. Needs torch and safetensors.

    from hook import record
    save = record(model)             # or record(model, ["encoder.norm", "decoder.norm"])
    with torch.no_grad():
        for batch in batches:        # as many as you like; measuring leaves out constant and repeated rows, such as padding
            model(batch)
    save("activations.safetensors")  # one tensor (tokens, width) per norm, named after its module, in the dtype of the model
"""
import torch
from safetensors.torch import save_file


def record(model, names=None):
    """Hooks the modules in `names`, by default every norm with a 1-D weight. Their last axis must be the width."""
    outputs = {}

    def keep(name):
        def hook(_module, _inputs, y):
            y = y.detach().reshape(-1, y.shape[-1])
            outputs.setdefault(name, []).append(y.to("cpu", copy=True))  # copy: y may change in place
        return hook

    for name, module in model.named_modules():
        norm = "norm" in type(module).__name__.lower() and getattr(getattr(module, "weight", None), "ndim", 0) == 1
        if name in names if names else norm:
            module.register_forward_hook(keep(name))
    return lambda path: save_file({name: torch.cat(parts) for name, parts in outputs.items()}, path)
