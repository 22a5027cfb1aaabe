#!/usr/bin/env python3
"""Measure what every norm module of the architectures in transformers and timm really does.

    python measure.py OUT [--only SUBSTRING] [--source transformers|timm] [--no-variants] [--redo]

needs torch, transformers, timm (no weights are downloaded: models are built from default configs on
the meta device). Writes OUT/NAME.json.gz, as tests/it/support/architecture.rs reads it, and
OUT/../failures.txt, OUT/../summary.tsv. A norm's `kind` is decided by running a float32 copy of the
module on random input, never by its name:

    layer   unchanged by a constant added to each token, and by a positive factor on each token
    rms     changed by the constant, unchanged by the factor, and of unit mean square where that shows
    other   statistics not per token (batch, group, instance), affine only, adaptive, plain L2
    unknown cannot be run alone

`convention` comes from setting the stored weight to 0, 1 and -1: the scale is `w`, `1+w`, or `none`
(nothing stored); `pre:` says that it acts on the input.
"""
import os

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", OMP_NUM_THREADS="1")
import argparse, copy, gc, glob, gzip, importlib, inspect, json, re, signal, sys, time, traceback, warnings
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_grad_enabled(False)

MANY = 20_000  # a document with more tensors keeps only blocks 0-2 and the last block of its long stacks
POOLED = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LocalResponseNorm)  # Batch-, Instance-, GroupNorm
NOT_NORM = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.PReLU, nn.Bilinear)
NAMED = re.compile(r"Norm|(^|_)LN|LN($|_)|^LN|^Affine$")
SHIFT_NAMES = re.compile(r"^(bias|beta|b|b_2|shift|offset)$|_bias$")
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.complex64: "C64"}


# ---------------------------------------------------------------- one module

def differ(a, b):
    return ((a - b).abs().max() / (a.abs().max() + 1e-9)).item()


def caller(module, like):
    """The module as a function of its input. Other required arguments are a gate of ones, or None."""
    extra = []
    for p in list(inspect.signature(module.forward).parameters.values())[1:]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if re.search(r"gate|^z$|^g$", p.name):
            extra.append((p.name, True))
        elif p.default is p.empty:
            if not re.search(r"resid|mask|group_index|grid|dtype", p.name):
                raise ValueError(f"needs {p.name}")
            extra.append((p.name, False))
    def run(x):
        y = module(x, **{n: torch.ones_like(x) if gate else None for n, gate in extra})
        y = y[0] if isinstance(y, tuple) else y
        if y.shape == (*x.shape[:-1], 1):
            return y * x                                     # HYV4 returns only the factor
        return y.reshape(x.shape) if y.numel() == x.numel() else y  # xLSTM flattens its heads
    if run(like).shape != like.shape or not run(like).is_floating_point():
        raise ValueError("output shape")
    return run


def shapes(module, weight):
    """Plausible input shapes, with the channel axis. The width comes from the weight or, without one, from an attribute."""
    if weight is not None and weight.dim() >= 2 and min(weight.shape[:-1]) > 1:
        yield (2, 5, *weight.shape), -1                      # one weight row per head: (heads, head_dim)
        yield (2, weight.shape[0], 5, weight.shape[-1]), -1
    heads = getattr(module, "num_heads", None)
    if weight is not None and heads and weight.numel() % heads == 0 and heads > 1:
        yield (2, 5, heads, weight.numel() // heads), -1     # xLSTM: flat weight, input by heads
    widths = [weight.numel()] if weight is not None else []
    if weight is None:
        for a in ("normalized_shape", "dim", "hidden_size", "num_features", "width", "channels", "head_dim", "d_model"):
            v = getattr(module, a, None)
            v = v[-1] if isinstance(v, (tuple, list)) and v else v
            if isinstance(v, int) and v > 1:
                widths.append(v)
        widths.append(48)
    for w in widths:
        yield (2, 5, w), -1
        yield (2, 3, 5, w), -1
        yield (2, w, 4, 7), 1
        yield (2, w, 7), 1
        yield (7, w), -1


def probe(module):
    """(kind, convention, how) of one module, found by running it."""
    named = dict(module.named_parameters(recurse=False))
    shift = {n for n in named if SHIFT_NAMES.search(n)}
    scales = [n for n in named if n not in shift]
    if isinstance(module, POOLED):
        return "other", "w" if scales else "none", "torch-class"
    try:
        m = copy.deepcopy(module).to_empty(device="cpu").float().eval()
    except Exception:
        return "unknown", "?", "failed"
    for n, b in m.named_buffers():
        if b.is_floating_point():
            b.fill_(1.0)
    params = dict(m.named_parameters())
    def fill(value=None):
        for n, p in params.items():
            p.data = torch.zeros_like(p) if n in shift else torch.rand_like(p) + 0.5 if value is None else torch.full_like(p, value)
    weight = params[scales[0]] if scales else None
    buffers = [b for b in m.buffers(recurse=False) if b.dim() == 1 and b.is_floating_point()]
    why = "no shape"
    for shape, axis in shapes(m, weight if weight is not None else buffers[0] if buffers else None):
        torch.manual_seed(1)
        x = torch.randn(shape) * 3 + 0.7
        token = list(shape)
        token[axis] = 1
        fill()
        try:
            f = caller(m, x)
        except Exception as e:
            why = str(e)
            continue
        y = f(x)
        if y.abs().max() < 1e-6 or not torch.isfinite(y).all():
            continue
        if differ(y, x) < 1e-6 and weight is None:
            return "other", "none", "probe"                  # an identity
        shifts = differ(y, f(x + torch.randn(token) * 2 + 1)) < 3e-3
        scaled = differ(y, f(x * (torch.rand(token) * 9 + 2))) < 3e-3
        kind = "layer" if shifts and scaled else "rms" if scaled else "other"
        gated = "gate" in str(inspect.signature(m.forward)) or len(list(m.children())) > 0
        conv = "none" if not named and not buffers else "w"
        if weight is not None and kind != "other":
            z, p1, n1 = (fill(v) or f(x) for v in (0.0, 1.0, -1.0))
            if z.abs().max() < 1e-4:
                conv, unit = "w", p1
            elif n1.abs().max() < 1e-4:
                conv, unit = "1+w", z
            else:
                conv, unit = "?", p1
            # a scale inside the norm: the output has unit mean square for any weight
            fill()
            ms = f(x).pow(2).mean(axis)
            if not gated and conv in ("w", "1+w") and kind == "rms" and (ms - 1).abs().max() < 1e-2:
                conv = "pre:" + conv
        else:
            unit = y
        # without unit mean square (also over groups), it is a plain L2 norm, x / std(x) ...; a gate or an activation hides it
        if kind == "rms" and not gated and (weight is None or weight.dim() == 1) and (unit.pow(2).mean(axis) - 1).abs().max() > 1e-2:
            kind = "other"
        return kind, conv, "buffers" if weight is None and buffers and kind == "other" else "probe"
    if re.search(r"Ada|Conditional|FiLM|Modulat", type(module).__name__):
        return "other", "?" if named else "none", "adaptive"
    if re.search(r"Group|Batch|Instance", type(module).__name__):
        return "other", "w" if scales else "none", "class-name"
    return "unknown", "?" if named else "none", "failed: " + why[:80]


CACHE = {}


def probe_cached(module):
    plain = {k: v for k, v in vars(module).items() if isinstance(v, (int, float, str, bool, tuple, type(None))) and k != "training"}
    tensors = [(n, tuple(t.shape)) for n, t in list(module.named_parameters()) + list(module.named_buffers())]
    key = (type(module), str(sorted(plain.items(), key=str)), str(tensors))
    if key not in CACHE:
        try:
            CACHE[key] = probe(module)
        except Exception as e:
            CACHE[key] = ("unknown", "?", "failed: " + str(e)[:80])
    return CACHE[key]


def norms_of(model):
    """All modules of the model that are norms by class name or by behaviour."""
    out, seen = [], set()
    for path, m in model.named_modules():
        cls = type(m).__name__
        if not path or id(m) in seen or isinstance(m, NOT_NORM) or "parametri" in type(m).__module__:
            continue
        seen.add(id(m))
        if any(True for c in m.children() for _ in c.parameters()) or (list(m.children()) and not NAMED.search(cls)):
            continue                                         # a block: the norms inside it are listed separately
        own = dict(m.named_parameters(recurse=False))
        flat = sum(1 for p in own.values() if p.dim() == 1)
        stored = [b for b in m.buffers(recurse=False) if b.dim() == 1]
        if not NAMED.search(cls) and not (len(own) in (1, 2) and flat == len(own)):
            continue
        if not own and not stored and re.search(r"Block|Layer$|Encoder|Conv|Embed", cls) and "NormLayer" not in cls:
            continue
        kind, conv, how = probe_cached(m)
        if not NAMED.search(cls) and kind not in ("layer", "rms"):
            continue                                         # layer scale, the slope of an activation ...
        shift = [n for n in own if SHIFT_NAMES.search(n)]
        scale = [n for n in own if n not in shift]
        if not own and hasattr(m, "running_mean") and "weight" in dict(m.named_buffers()):
            scale, shift = ["weight"], ["bias"]              # a frozen batch norm stores them as buffers
        t = dict(m.named_parameters(recurse=False), **dict(m.named_buffers(recurse=False)))
        width = t[scale[0]].shape[-1] if scale and t[scale[0]].dim() else None
        last = path.rsplit(".", 1)[-1]
        out.append({
            "path": path, "cls": cls, "kind": kind, "convention": conv if scale or kind == "unknown" else "none", "how": how,
            "weight": f"{path}.{scale[0]}" if scale else None, "bias": f"{path}.{shift[0]}" if shift else None, "width": width,
            "per_head": bool(re.search(r"(^|_)(q|k|v|query|key|value)_?(layer)?_?norm", last)) and bool(width) and width <= 256,
            "final": not re.search(r"\.\d+\.", path + ".") and bool(re.search(
                r"^(norm|norm_f|ln_f|f_norm|fc_norm|norm_out|ln_post|post_layernorm|layernorm|layer_norm|final_\w*norm\w*|output_norm|last_norm)$", last)),
        })
    return out


# ---------------------------------------------------------------- one document

def trim(tensors, norms):
    """Keeps blocks 0-2 and the last block of stacks. The index of a block is the first number in the name."""
    last = {}
    block = lambda n: re.match(r"(.*?)\.(\d+)\.", n)
    for n, _, _ in tensors:
        if b := block(n):
            last[b[1]] = max(last.get(b[1], 0), int(b[2]))
    keep = lambda n: not (b := block(n)) or int(b[2]) < 3 or int(b[2]) == last.get(b[1], 0)
    return [t for t in tensors if keep(t[0])], [n for n in norms if keep(n["weight"] or n["path"])]


def write(out, doc):
    doc = json.loads(json.dumps(doc), parse_constant=lambda _: None)  # JSON has no infinity
    with gzip.GzipFile(out / f"{doc['name']}.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(doc, separators=(",", ":")).encode())


def document(name, source, model_type, arch, config, state, norms, **more):
    tensors = [[k, DTYPES.get(t.dtype, str(t.dtype)), list(t.shape)] for k, t in state.items()]
    for n in norms:                                          # tied copies, and names that the conversion lost
        if n["weight"] and n["weight"] not in state:
            n["kind"], n["how"] = "unknown", "not saved"
    if len(tensors) > MANY:
        tensors, norms = trim(tensors, norms)
        more["trimmed"] = True
    return dict(name=name, source=source, model_type=model_type, architecture=arch, config=config, **more, tensors=tensors, norms=norms)


# ---------------------------------------------------------------- transformers

ORDER = ["ForCausalLM$", "ForConditionalGeneration$", "ForPreTraining$", "ForMaskedLM$", "LMHeadModel", "ForCTC$|ForRNNT$|ForTDT$", "ForImageTextToText",
         "ForImageClassification$", "ForObjectDetection$", "ForDepthEstimation", "ForUniversalSegm|ForInstanceSegm|ForSemanticSegm",
         "ForKeypoint|ForVideoClass|ForImageMatt|ForPrediction|ForAudio|ForRetrieval|ForImageToImage|ForSequenceClass", "(?<!PreTrained)Model$", "."]


def transformers_types():
    """model_type -> (config class, its model classes, best first), from all configuration files."""
    import transformers
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    configs, models, root = {}, {}, Path(transformers.__file__).parent / "models"
    for folder in sorted(p.name for p in root.iterdir() if p.is_dir()):
        for f in sorted(root.joinpath(folder).glob("configuration_*.py")):
            try:
                mod = importlib.import_module(f"transformers.models.{folder}.{f.stem}")
            except Exception:
                continue
            for c in vars(mod).values():
                if isinstance(c, type) and issubclass(c, PreTrainedConfig) and c.model_type and c.__module__ == mod.__name__:
                    configs.setdefault(c.model_type, []).append((folder, c))
    for alias, cls_name in CONFIG_MAPPING_NAMES.items():  # gpt-sw3 is a GPT2Config ...
        if alias not in configs:
            found = [x for l in list(configs.values()) for x in l if x[1].__name__ == cls_name]
            if found:
                configs[alias] = found[:1]
    def load(folder):
        for f in sorted(root.joinpath(folder).glob("modeling_*.py")):
            try:
                mod = importlib.import_module(f"transformers.models.{folder}.{f.stem}")
            except Exception:
                continue
            if hasattr(mod, "requires_backends"):
                mod.requires_backends = lambda *_: None      # natten, detectron2: not needed to build
            for c in vars(mod).values():
                if isinstance(c, type) and issubclass(c, PreTrainedModel) and c.__module__ == mod.__name__ and not c.__name__.endswith("PreTrainedModel"):
                    models.setdefault(getattr(c, "config_class", None), []).append(c)
    def find(model_type):
        for folder, config in configs[model_type]:
            if folder not in loaded:
                loaded.add(folder)
                load(folder)
            found = list(models.get(config, []))
            for name in ("MODEL_FOR_CAUSAL_LM", "MODEL_FOR_PRETRAINING", "MODEL_FOR_IMAGE_TEXT_TO_TEXT", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM", "MODEL"):  # a class that lives in another folder
                try:
                    c = getattr(modeling_auto, name + "_MAPPING")[config]
                    found += [x for x in (c if isinstance(c, (tuple, list)) else [c]) if x not in found]
                except Exception:
                    pass
            if found:
                return config, sorted(found, key=lambda c: next(i for i, r in enumerate(ORDER) if re.search(r, c.__name__)))
        return configs[model_type][0][1], []
    loaded = set()
    return configs, find


def default_config(model_type, cls):
    from transformers import BertConfig, CLIPConfig, GPT2Config, ViTConfig, Wav2Vec2Config, T5Config, EncodecConfig, MusicgenDecoderConfig
    if model_type == "vision-encoder-decoder":
        return cls.from_encoder_decoder_configs(ViTConfig(), GPT2Config())
    if model_type == "encoder-decoder":
        return cls.from_encoder_decoder_configs(BertConfig(), BertConfig())
    if model_type == "speech-encoder-decoder":
        return cls.from_encoder_decoder_configs(Wav2Vec2Config(), BertConfig())
    if model_type == "vision-text-dual-encoder":
        return cls.from_vision_text_configs(ViTConfig(), BertConfig())
    if model_type in ("musicgen", "musicgen_melody"):
        dec = importlib.import_module(f"transformers.models.{model_type}.configuration_{model_type}")
        dec = next(c for n, c in vars(dec).items() if n.endswith("DecoderConfig"))
        return cls(text_encoder=T5Config().to_dict(), audio_encoder=EncodecConfig().to_dict(), decoder=dec().to_dict())
    return cls(**FIX.get(model_type, {}))


# arguments for models that cannot be built with their defaults
QWEN4 = dict(indexer_n_heads=4, indexer_kv_heads=1, indexer_head_dim=128, indexer_budget=2048, indexer_compress_ratio=4, ple_embed_dim=64, ple_layer_ids=[1], eos_token_id=2,
             rope_parameters={"rope_theta": 1e7, "rope_type": "default", "partial_rotary_factor": 0.25})
GEMMA_MOE = {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 704}
OCR = {"kernel_list": [3, 2, 2], "intraclass_block_config": {k: [1, 1, 0] if "channel" in k else [n, 1, n // 2] for k, n in dict(
    {"reduce_channel": 1, "return_channel": 1}, **{f"{a}_{b}": m for b, m in [("longratio", 7), ("midratio", 5), ("shortratio", 3)]
    for a in ("vertical_long_to_small_conv", "horizontal_small_to_long_conv", "symmetric_conv_long")}).items()}}
FIX = {
    **{t: {"prediction_length": 24} for t in ("autoformer", "informer", "time_series_transformer")},
    "esm": {"vocab_size": 33, "pad_token_id": 1}, "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    "aya_vision": {"vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 26, "patch_size": 14, "image_size": 364}},
    "perception_lm": {"vision_config": {"model_type": "timm_wrapper", "architecture": "vit_pe_core_large_patch14_336", "model_args": {"embed_dim": 1024, "global_pool": ""}}},
    "chameleon": {"vocabulary_map": {"<image>": 8711}}, "emu3": {"vocabulary_map": {"<image>": 8711}},
    "timm_backbone": {"backbone": "resnet50"}, "timm_wrapper": {"architecture": "resnet50"},
    "gemma4_assistant": {"text_config": {"model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}},
    "vitmatte": {"fusion_hidden_sizes": [256, 128, 64, 32]}, "granite4_vision": {"downsample_rate": "4/8", "deepstack_layer_map": [[5, 3], [11, 6], [17, 9], [23, 12]]},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_theta": 10000.0, "rope_type": "default"}}},
    "cohere_compass": {"text_config": {"model_type": "cohere_compass_text", "rope_parameters": {"full_attention": {"rope_theta": 10000.0, "rope_type": "default"}}}},
    "pp_ocrv5_server_det": OCR, "pp_ocrv6_medium_det": OCR, "diffusion_gemma_text": GEMMA_MOE,
    "diffusion_gemma": {"text_config": dict(GEMMA_MOE, model_type="diffusion_gemma_text")},
    "qwen4_exp_text": QWEN4, "qwen4_exp": {"text_config": dict(QWEN4, model_type="qwen4_exp_text")},
}


def repair(config):
    """Fills in the sizes that a default config leaves empty, also in nested configs."""
    for k, v in list(vars(config).items()):
        if hasattr(v, "to_dict"):
            repair(v)
    get = lambda k: getattr(config, k, None)
    put = lambda k, v: get(k) is None and setattr(config, k, v)
    if get("hidden_size") and get("num_attention_heads"):
        put("num_key_value_heads", config.num_attention_heads)
        put("head_dim", config.hidden_size // config.num_attention_heads)
    if get("num_hidden_layers") and hasattr(config, "layer_types"):
        put("layer_types", ["full_attention"] * config.num_hidden_layers)
    if hasattr(config, "n_routed_experts"):
        for k, v in dict(n_routed_experts=64, n_shared_experts=2, moe_intermediate_size=1407, topk_method="greedy", n_group=1, topk_group=1,
                         num_experts_per_tok=6, mlp_layer_types=["dense"] + ["sparse"] * (config.num_hidden_layers - 1)).items():
            put(k, v)
    for k, v in dict(vocab_size=32000, pad_token_id=0, rope_theta=10000.0, shared_expert_intermediate_size=512, dropout_rate=0.0).items():
        put(k, v)
    return config


def build(cls, config):
    """Builds the model on the meta device, or on the CPU if its constructor computes with values."""
    from transformers.initialization import no_init_weights
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), no_init_weights():
                return cls(copy.deepcopy(config)).eval()
        except Exception as e:
            if device == "cpu" or not re.search(r"meta|item\(\)", str(e)):
                raise


def saved(model, norms):
    """The state dict with the names of a saved checkpoint. Also renames the tensors of the norms."""
    from transformers.core_model_loading import revert_weight_conversion
    state = model.state_dict()
    drop = {k for k in getattr(model, "all_tied_weights_keys", None) or {}} if getattr(model.config, "tie_word_embeddings", True) else set()
    drop |= {k for k in state for p in (getattr(model, "_keys_to_ignore_on_save", None) or []) if k == p}
    state = {k: v.to("meta") for k, v in state.items() if k not in drop}
    try:
        after = {k: v[0] if isinstance(v, list) else v for k, v in revert_weight_conversion(model, state).items()}
        # each tensor of a norm gets a unique length, so that it can be recognised after the conversion
        names = [n[f] for n in norms for f in ("weight", "bias") if n[f] in state]
        tagged = {k: torch.empty(10_000_019 + i, device="meta") for i, k in enumerate(names)}
        moved = {names[v.shape[0] - 10_000_019]: k for k, v in revert_weight_conversion(model, tagged).items()}
    except Exception:
        return state, "names not converted: " + traceback.format_exc().strip().splitlines()[-1][:160]
    for n in norms:
        for f in ("weight", "bias"):
            if n[f] in moved and moved[n[f]] in after:
                n[f] = moved[n[f]]
    return after, None


SWITCH = re.compile(r"norm|qk_|new_decoder_architecture|parallel_attn")
NO_SWITCH = re.compile(r"eps|normalize|norm_topk|normed|norm_(mean|std)|pixel|init|loss|renorm|momentum|prob|coef|logit|weight_norm|norm_output|label")
KINDS = ["rms_norm", "rmsnorm", "RMSNorm", "rms", "layer_norm", "layernorm", "LayerNorm", "layer", "group", "batch_norm", "batchnorm", "BatchNorm", "no_norm",
         "l2norm", "low_precision_layernorm", "low_precision_rmsnorm", "layernorm1p", "batch"]


def variants(config, source):
    """Configs that differ in one field that may switch a norm: inverted booleans, other names of kinds."""
    def fields(c, path=()):
        for k, v in list(vars(c).items()):
            if hasattr(v, "to_dict") and len(path) < 1 and k.endswith("config"):
                yield from fields(v, path + (k,))
            elif SWITCH.search(k) and not NO_SWITCH.search(k) and not k.startswith("_"):
                yield path, k, v
    for path, k, v in fields(config):
        values = [not v] if isinstance(v, bool) else [s for s in KINDS if s != v and re.search(rf"""["']{s}["']""", source)] if isinstance(v, str) else [True] if v is None else []
        for new in values:
            c = copy.deepcopy(config)
            t = c
            for p in path:
                t = getattr(t, p)
            try:
                setattr(t, k, new)
            except Exception:
                continue
            yield ".".join(path + (k,)) + f"-{new}", c


def signature(norms):
    return {(re.sub(r"\d+", "N", n["path"]), n["kind"], n["convention"], n["bias"] is None) for n in norms}


class TooSlow(Exception):
    pass


def alarm(*_):
    raise TooSlow("too slow")


def run_transformers(out, args, fail):
    configs, find = transformers_types()
    for model_type in sorted(configs):
        name = re.sub(r"[^\w.+-]", "_", model_type)
        if args.only and args.only not in name or not args.redo and (out / f"{name}.json.gz").exists():
            continue
        start, errors = time.time(), []
        try:
            signal.alarm(150)
            config_cls, classes = find(model_type)
            if not classes:
                raise LookupError("no model class (a part of another config, or an abstract one)")
            config = default_config(model_type, config_cls)
            fixed = None
            for cls, c in [(k, 0) for k in classes[:4]] + [(k, 1) for k in classes[:4]]:
                try:
                    if c:
                        fixed = fixed or repair(copy.deepcopy(config))
                    model = build(cls, fixed if c else config)
                    config = model.config if c else config
                    break
                except TooSlow:
                    raise
                except Exception as e:
                    errors.append(f"{cls.__name__}: {type(e).__name__}: {str(e).splitlines()[0][:150] if str(e) else ''}")
            else:
                raise RuntimeError(" | ".join(errors))
            norms = norms_of(model)
            base = signature(norms)
            state, note = saved(model, norms)
            as_dict = lambda c: json.loads(json.dumps(dict(c.to_dict(), architectures=[cls.__name__], model_type=model_type), default=str))
            more = {"note": note} if note else {}
            write(out, document(name, "transformers", model_type, cls.__name__, as_dict(model.config), state, norms, **more))
            del model
            source = "".join(Path(f).read_text() for f in glob.glob(str(Path(inspect.getfile(config_cls)).parent / "*.py")))
            seen = [base]
            for label, c in [] if args.no_variants else variants(config, source):
                try:
                    signal.alarm(60)
                    model = build(cls, c)
                    norms = norms_of(model)
                    if signature(norms) not in seen:
                        seen.append(signature(norms))
                        state, note = saved(model, norms)
                        vname = f"{name}__{re.sub(r'[^A-Za-z0-9_.+-]', '_', label)}"
                        write(out, document(vname, "transformers", model_type, cls.__name__, as_dict(c), state, norms, variant_of=name))
                    del model
                except Exception:
                    pass
        except Exception as e:
            fail(name, f"{type(e).__name__}: {e}")
        finally:
            signal.alarm(0)
        gc.collect()
        print(f"{name} {time.time() - start:.1f}s", flush=True)


# ---------------------------------------------------------------- timm

def run_timm(out, args, fail):
    import timm
    from timm.models._registry import _model_entrypoints as entry
    seen = set()
    for arch in sorted(timm.list_models(), key=lambda a: (entry[a].__module__, "base" not in a, len(a), a)):
        name = f"timm__{arch}"
        if args.only and args.only not in name:
            continue
        try:
            signal.alarm(120)
            try:
                with torch.device("meta"):
                    model = timm.create_model(arch, pretrained=False).eval()
            except Exception:
                model = timm.create_model(arch, pretrained=False).eval()
            cfg = model.pretrained_cfg or {}
            kept = {k: cfg[k] for k in ("hf_hub_id", "tag", "input_size", "num_classes", "first_conv", "classifier") if cfg.get(k) is not None}
            config = dict(architecture=arch, num_classes=model.num_classes, num_features=model.num_features, pretrained_cfg=kept)
            norms, state = norms_of(model), model.state_dict()
            shape = (type(model).__name__, *sorted({re.sub(r"\d+", "N", k) for k in state} | signature(norms), key=str))
            if shape in seen and not args.only:              # another size of an earlier model
                continue
            seen.add(shape)
            write(out, document(name, "timm", arch, type(model).__name__, json.loads(json.dumps(config, default=str)), state, norms))
        except Exception as e:
            fail(name, f"{type(e).__name__}: {e}")
        finally:
            signal.alarm(0)
        print(name, flush=True)


# ---------------------------------------------------------------- all

def summary(out):
    with open(out.parent / "summary.tsv", "w") as f:
        print("name", "source", "model_type", "tensors", "layer", "rms", "other", "unknown", sep="\t", file=f)
        for p in sorted(out.glob("*.json.gz")):
            d = json.loads(gzip.open(p).read())
            count = lambda k: sum(n["kind"] == k for n in d["norms"])
            print(d["name"], d["source"], d["model_type"], len(d["tensors"]), *map(count, ("layer", "rms", "other", "unknown")), sep="\t", file=f)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("out", type=Path)
    ap.add_argument("--only", default="", help="names that hold this")
    ap.add_argument("--source", choices=["transformers", "timm"])
    ap.add_argument("--no-variants", action="store_true")
    ap.add_argument("--redo", action="store_true", help="also measure what OUT already has")
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGALRM, alarm)
    log = open(args.out.parent / "failures.txt", "a")
    def fail(name, why):
        print(name, why.replace("\n", " ")[:500], sep="\t", file=log, flush=True)
    if args.source != "timm":
        run_transformers(args.out, args, fail)
    if args.source != "transformers":
        run_timm(args.out, args, fail)
    summary(args.out)


if __name__ == "__main__":
    main()
