#!/usr/bin/env python3
"""Measure what the norms of whole libraries do: every model that diffusers, torchvision, open_clip, litgpt, vit-pytorch,
x-transformers, MONAI, torchaudio, torch_geometric, segment-anything and the audio libraries build, with each of their options for
norms.

    python libraries.py OUT [--library NAME…] [--only SUBSTRING]

Writes OUT/LIBRARY__NAME.json.gz like measure.py, and OUT/failures.tsv. A model with the same names, shapes of scales and kinds as
an earlier one is not written. Nothing is downloaded: models are built without weights, on the meta device if their constructor
allows it.
"""
import argparse, gc, inspect, json, re, signal, sys
from pathlib import Path

import measure
import torch
from torch import nn

import libraries_zoo

SECONDS = 90  # for building and measuring one model
KEPT_BLOCKS = 3  # of long stacks, as in measure.trim


# ---------------------------------------------------------------- diffusers

NORMS = ["layer_norm", "rms_norm", "layer_norm_across_heads", "rms_norm_across_heads", "batch_norm", "group_norm", "rms", "layer", "group",
         "fp32_layer_norm", "ada_norm", "ada_norm_zero", "ada_norm_single", "ada_norm_continuous", "spatial", "l2"]


def diffusers():
    """Every model class with its defaults, and with other values of each argument that may switch a norm."""
    import pkgutil, importlib
    import diffusers as library
    from diffusers import ModelMixin
    classes = {}
    for module in pkgutil.walk_packages(library.__path__, "diffusers."):
        if not re.search(r"\.models\.|\.pipelines\.\w+\.(modeling|.*unet|.*model)", module.name) or "flax" in module.name:
            continue
        try:
            loaded = importlib.import_module(module.name)
        except Exception:
            continue
        for name, cls in vars(loaded).items():
            if isinstance(cls, type) and issubclass(cls, ModelMixin) and cls.__module__ == loaded.__name__ and cls is not ModelMixin:
                classes[name] = cls
    for name, cls in sorted(classes.items()):
        parameters = inspect.signature(cls.__init__).parameters
        fixed = DIFFUSERS.get(name, {})
        yield name, lambda cls=cls, fixed=fixed: cls(**fixed)
        source = Path(inspect.getfile(cls)).read_text()
        for key, parameter in parameters.items():
            if not re.search(r"norm|qk_", key) or re.search(r"eps|groups|affine|mean|std|num_embeds", key):
                continue
            default = parameter.default
            values = [not default] if isinstance(default, bool) else [v for v in NORMS if v != default and f'"{v}"' in source or v in ("layer_norm", "rms_norm", "rms_norm_across_heads")]
            if default is inspect._empty or not isinstance(default, (bool, str, type(None))):
                continue
            for value in values:
                yield f"{name}__{key}-{value}", lambda cls=cls, fixed=fixed, key=key, value=value: cls(**fixed, **{key: value})


# Arguments of classes that cannot be built with their defaults.
DIFFUSERS = {
    "AutoencoderKL": dict(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2),
    "VQModel": dict(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2),
    "UNet2DConditionModel": dict(cross_attention_dim=32), "Transformer2DModel": dict(in_channels=32, num_attention_heads=2, attention_head_dim=16),
    "DualTransformer2DModel": dict(in_channels=32), "TransformerTemporalModel": dict(in_channels=32),
    "TransformerSpatioTemporalModel": dict(in_channels=32), "T5FilmDecoder": dict(input_dims=16, num_layers=2),
    "AudioLDM2ProjectionModel": dict(text_encoder_dim=64, text_encoder_1_dim=64, langauge_model_dim=64),
    "AutoencoderKLHunyuanImage": dict(in_channels=3, out_channels=3, latent_channels=16, block_out_channels=(64, 128, 128), layers_per_block=2, spatial_compression_ratio=4, sample_size=64),
    "ControlNetUnionModel": dict(addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816),
    "DreamLiteTransformer2DModel": dict(in_channels=64), "EasyAnimateTransformer3DModel": dict(in_channels=16, out_channels=16, patch_size=2),
    "HiDreamImageTransformer2DModel": dict(patch_size=2, caption_channels=[4096, 4096], llama_layers=list(range(49))),
    "HunyuanDiT2DModel": dict(in_channels=4, patch_size=2), "HunyuanDiT2DControlNetModel": dict(in_channels=4, patch_size=2),
    "LatteTransformer3DModel": dict(in_channels=4, patch_size=2, cross_attention_dim=1152, caption_channels=4096, norm_type="ada_norm_single"),
    "LuminaNextDiT2DModel": dict(num_kv_heads=8, ffn_dim_multiplier=1.0),
    "OmniGenTransformer2DModel": dict(rope_scaling=dict(type="su", long_factor=[1.0] * 48, short_factor=[1.0] * 48)),
}


# ---------------------------------------------------------------- torchvision, open_clip, litgpt

def torchvision():
    """Every registered model except the quantised ones, and ResNets with other norms."""
    from torchvision import models
    for name in models.list_models():
        if not name.startswith("quantized"):
            yield name, lambda name=name: models.get_model(name, weights=None, **({"weights_backbone": None} if re.search("rcnn|retina|ssd|fcos|lraspp|deeplab|fcn_", name) else {}))
    yield "resnet18__group", lambda: models.resnet18(norm_layer=lambda width: nn.GroupNorm(32, width))
    yield "resnet18__instance", lambda: models.resnet18(norm_layer=lambda width: nn.InstanceNorm2d(width, affine=True))
    yield "resnet50__group", lambda: models.resnet50(norm_layer=lambda width: nn.GroupNorm(32, width))


def open_clip():
    """Every named configuration. Text towers of transformers have the defaults of that library, because their files are elsewhere."""
    import open_clip as library
    from open_clip import hf_model
    from transformers import M2M100Config, MT5Config, RobertaConfig, XLMRobertaConfig
    towers = {"xlm-roberta": XLMRobertaConfig, "roberta": RobertaConfig, "mt5": MT5Config, "nllb": M2M100Config}
    class Offline:
        @staticmethod
        def from_pretrained(name, **_):
            return next(config for word, config in towers.items() if word in name)()
    hf_model.AutoConfig = Offline
    for name in library.list_models():
        yield name, lambda name=name: library.create_model(name, device="meta", pretrained=None, pretrained_hf=False, pretrained_image=False, pretrained_text=False)


def litgpt():
    """Every named configuration, cut to three blocks."""
    from litgpt import GPT, Config
    from litgpt.config import configs
    for config in configs:
        name = config["name"]
        yield name, lambda name=name: GPT(Config.from_name(name, n_layer=KEPT_BLOCKS))
    small = dict(block_size=64, n_layer=KEPT_BLOCKS, n_head=4, n_embd=64, padded_vocab_size=512, intermediate_size=128)
    for norm in ("LayerNorm", "RMSNorm"):
        for keys in ((), ("norm_qk",), ("post_attention_norm",), ("post_mlp_norm",), ("post_attention_norm", "post_mlp_norm"),
                     ("norm_qk", "post_attention_norm", "post_mlp_norm"), ("parallel_residual",), ("parallel_residual", "shared_attention_norm")):
            for mlp in ("GptNeoxMLP", "LLaMAMLP", "GemmaMLP"):
                for bias in (True, False):
                    options = dict(small, norm_class_name=norm, mlp_class_name=mlp, parallel_residual=False, bias=bias) | {key: True for key in keys}
                    name = f"small__{norm}_{'_'.join(keys) or 'plain'}_{mlp}{'' if bias else '_nobias'}"
                    yield name, lambda options=options: GPT(Config(**options))


# ---------------------------------------------------------------- all

def signature(state, norms):
    """What distinguishes two documents for the tables: names with numbers as N, ranks, and what the norms do."""
    names = {(re.sub(r"\d+", "N", name), tensor.dim()) for name, tensor in state.items()}
    kinds = {(re.sub(r"\d+", "N", norm["path"]), norm["kind"], norm["convention"]) for norm in norms}
    return frozenset(names), frozenset(kinds)


def built(build):
    """Builds the model on the meta device, or on the CPU if its constructor needs values."""
    try:
        with torch.device("meta"):
            return build().eval()
    except measure.TooSlow:
        raise
    except Exception:
        return build().eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--library", nargs="*", help="these alone")
    parser.add_argument("--only", default="", help="names that hold this")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failures = open(arguments.out / "failures.tsv", "a")
    signal.signal(signal.SIGALRM, measure.alarm)
    libraries = [diffusers, torchvision, open_clip, litgpt, *libraries_zoo.LIBRARIES]
    for library in libraries:
        seen, source = set(), library.__name__
        if arguments.library and source not in arguments.library:
            continue
        for name, build in library():
            name = re.sub(r"[^\w.+-]", "_", f"{source}__{name}")
            if arguments.only not in name or (arguments.out / f"{name}.json.gz").exists():
                continue
            try:
                signal.alarm(SECONDS)
                model = built(build)
                norms, state = measure.norms_of(model), model.state_dict()
                if not norms or (mark := signature(state, norms)) in seen:
                    continue
                seen.add(mark)
                config = None
                if source == "diffusers":
                    config = json.loads(json.dumps(dict(model.config), default=str)) | {"_class_name": type(model).__name__}
                document = measure.document(name, source, None, type(model).__name__, config, state, norms)
                document["tensors"], document["norms"] = measure.trim(document["tensors"], document["norms"])
                measure.write(arguments.out, document)
                print(name, len(norms), flush=True)
            except (Exception, SystemExit) as error:
                print(name, f"{type(error).__name__}: {str(error)[:200]}".replace("\n", " "), sep="\t", file=failures, flush=True)
            finally:
                signal.alarm(0)
                model = norms = state = None
                gc.collect()


if __name__ == "__main__":
    main()
