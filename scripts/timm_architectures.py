#!/usr/bin/env python3
"""Writes src/model/timm.tsv: the options of timm's vision transformers by name.

    pip install torch timm
    python scripts/timm_architectures.py src/model/timm.tsv

It calls timm's function for each name, and records the options that the function passes to the constructor and that differ from the
defaults, as JSON. It leaves out architectures with an option that src/model/timm.rs does not know (other blocks, other norms).
"""
import functools
import json
import sys

import timm
from timm.models import beit, deit, eva, vision_transformer

USUAL = dict(patch_size=16, embed_dim=768, depth=12, num_heads=12)
KNOWN = {
    "patch_size", "embed_dim", "depth", "num_heads", "class_token", "fc_norm", "mlp_ratio", "global_pool", "qkv_bias", "img_size",
    "no_embed_class", "reg_tokens", "init_values", "pre_norm", "final_norm", "qk_norm", "use_abs_pos_emb", "use_rel_pos_bias",
    "act_layer", "norm_eps", "gated", "pool_include_prefix", "qkv_fused", "num_reg_tokens", "scale_attn_inner", "scale_mlp",
    "swiglu_align_to", "swiglu_mlp", "use_fc_norm", "use_post_norm", "use_pre_transformer_norm", "use_post_transformer_norm",
    "use_rot_pos_emb", "ref_feat_shape", "rope_rotate_half", "rope_temperature", "rope_type",
}
# Kinds of rotary positions: by the number of a patch, and by its centre.
ROTARY = {"cat", "dinov3"}
ACTIVATIONS = {"gelu", "gelu_tanh", "quick_gelu", "silu"}


class Told(Exception):
    pass


def tell(of_class):
    def create(_variant, pretrained=False, distilled=False, **options):
        raise Told("distilled" if distilled else of_class, options)
    return create


def plain(options):
    """The options as JSON, or `None` if one of them is not known."""
    options = {key: value for key, value in options.items() if key not in ("pretrained_filter_fn", "pretrained_strict")}
    norm, gated, activation = options.pop("norm_layer", None), options.pop("mlp_layer", None), options.get("act_layer")
    # Gammascope refuses images of other sizes whatever this says.
    options.pop("dynamic_img_size", None)
    if norm is not None:
        if not isinstance(norm, functools.partial) or norm.func.__name__ != "LayerNorm" or set(norm.keywords) != {"eps"}:
            return None
        options["norm_eps"] = norm.keywords["eps"]
    if gated is not None:
        expected = dict(gate_last=False)
        if not isinstance(gated, functools.partial) or gated.func.__name__ != "GluMlp":
            return None
        keywords = dict(gated.keywords)
        act = keywords.pop("act_layer").__name__
        if act != "SiLU" or keywords != expected:
            return None
        options["gated"], options["act_layer"] = True, "silu"
    elif activation is not None and activation not in ACTIVATIONS:
        return None
    options = {key: value for key, value in options.items() if USUAL.get(key) != value}
    known = set(options) <= KNOWN and options.get("rope_type", "cat") in ROTARY
    return options if known else None


def main():
    vision_transformer._create_vision_transformer = tell("vit")
    deit._create_deit = tell("vit")
    beit._create_beit = tell("beit")
    eva._create_eva = tell("eva")
    lines = []
    for module in (vision_transformer, deit, beit, eva):
        for name in timm.list_models(module=module.__name__.rsplit(".", 1)[-1]):
            try:
                getattr(module, name)()
            except Told as told:
                of_class, options = told.args
                options = plain(options)
                if options is not None:
                    lines.append(f"{name}\t{of_class}\t{json.dumps(options, separators=(',', ':'))}\n")
    with open(sys.argv[1], "w") as file:
        file.writelines(sorted(lines))
    print(f"{len(lines)} architectures")


if __name__ == "__main__":
    main()
