"""The architectures that readers.py measures: those of transformers from its tests, and those of timm, PyTorch, vit-pytorch and
x-transformers from the lists of each library.

It tries everything that a library lists, and guesses sizes until one builds and runs.
"""
import contextlib, copy, glob, importlib, importlib.machinery, inspect, itertools, json, os, pkgutil, re, sys, types, unittest, unittest.mock

import torch
from torch import nn

from readers_probe import named_parameters, run_model


def first_that_runs(builders, inputs):
    """The first model and input that fit each other."""
    error = None
    for build in builders:
        torch.manual_seed(0)
        try:
            model = build().eval()
        except Exception as e:
            error = e
            continue
        if not any(isinstance(m, nn.LayerNorm) or re.search("LayerNorm|LN", type(m).__name__) for m in model.modules()):
            raise ValueError("it has no LayerNorm")
        for values in inputs(model):
            try:
                with torch.no_grad():
                    model(*values)
            except Exception as e:
                error = e
                continue
            cast = [v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else [x.double() for x in v] if isinstance(v, list) else v for v in values]
            return dict(model=model, run=lambda m: m(*cast))
    raise error


def described(make, label, cls, condition=None, default=None):
    return lambda: dict(make(), labels=[label], cls=cls, prefix="", condition=condition or {}, default=default or {})


# ---------------------------------------------------------------- timm

SIZES = re.compile(r"^(tiny|small|base|large|huge|giant|gigantic|little|medium|mediumd|betwixt|wee|pwee|dwee|xl|xs|xxs|xxxs|xx?large|xx?small|nano|pico|femto|atto|zepto|test|so\d+m|[smltbhgnx]|[a-z]?\d+[a-z]?\d*|patch\d+|p\d+|window\d+\w*|e\d+|r\d+)$")


def stem(name):
    return " ".join(re.sub(r"\d+$", "", part) if len(part) > 3 else part for part in name.split("_") if not SIZES.match(part))


def timm_architectures():
    """The smallest model of every group of names that differ only in sizes, one from each file at a time."""
    import timm
    from timm.models._registry import _model_to_module
    order = ["test", "atto", "femto", "pico", "nano", "xxs", "xs", "tiny", "t", "xxtiny", "xtiny", "small", "s", "medium", "base", "large"]
    letters = {"s": "s", "m": "medium", "b": "base", "l": "large"}
    def size(name):  # for caformer_s18, the s
        parts = [letters.get(part[0], part) if re.match(r"[smbl]\d+$", part) else part for part in name.split("_")]
        return min([order.index(part) for part in parts if part in order] or [len(order)])
    groups = {}
    for name in timm.list_models():
        groups.setdefault(_model_to_module[name], {}).setdefault(stem(name), []).append(name)
    rows = [[min(names, key=lambda n: (size(n), len(n), n)) for names in stems.values()] for stems in groups.values()]
    for name in filter(None, itertools.chain.from_iterable(itertools.zip_longest(*rows))):
        yield f"timm.{name}", "timm", described(timm_maker(name), f"timm:{name}", name)


DEPTHS, WIDTHS = ("depth", "depths", "layers", "stages", "num_blocks"), ("embed_dim", "embed_dims", "dims", "channels")


def smaller(model_class, arguments, narrow):
    """Arguments of a class of timm with two blocks per stage and, if `narrow`, few channels and heads."""
    for key, p in inspect.signature(model_class.__init__).parameters.items():
        value = arguments.get(key, p.default)
        numbers = isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value)
        if key in DEPTHS and (numbers or isinstance(value, int)):
            arguments[key] = tuple(min(v, 2) for v in value) if numbers else min(value, 2)
        elif narrow and key in WIDTHS and (numbers or isinstance(value, int)):
            arguments[key] = tuple(32 + 16 * i for i in range(len(value))) if numbers else 32 if "depths" in arguments else 64
        elif narrow and key == "num_heads" and (numbers or isinstance(value, int)):
            arguments[key] = (2,) * len(value) if numbers else 4
    return arguments


@contextlib.contextmanager
def built_smaller(module, narrow):
    """Makes timm's builder use smaller arguments while the block runs."""
    build = module.build_model_with_cfg
    if narrow is not None:
        module.build_model_with_cfg = lambda cls, *args, **kwargs: build(cls, *args, **smaller(cls, kwargs, narrow))
    try:
        yield
    finally:
        module.build_model_with_cfg = build


def timm_maker(name):
    def make():
        import timm
        module = sys.modules[timm.models.model_entrypoint(name).__module__]
        def build(narrow, size):
            with built_smaller(module, narrow):
                return timm.create_model(name, pretrained=False, num_classes=10, **size)
        # at other image sizes, windows are padded, and padding after a norm does not read it
        windows = any(re.search("window|wss|partition", key) for c in vars(module).values() if isinstance(c, type) and issubclass(c, nn.Module)
                      for key in inspect.signature(c.__init__).parameters)
        native = windows and (timm.get_pretrained_cfg(name, allow_unregistered=True).input_size or (3, 224, 224))[-1]
        def inputs(model):
            if native and native <= 256:
                yield [torch.randn(1, 3, native, native)]
            fixed = (model.default_cfg.get("input_size") or (3, 224, 224))[-1]
            for side in (64, 32, 128, fixed):
                yield [torch.randn(2, 3, side, side)]
        sizes = itertools.product((True, False, None), ({}, dict(img_size=64)) if native and native <= 256 else (dict(img_size=64), {}))
        return first_that_runs([lambda narrow=narrow, size=size: build(narrow, size) for narrow, size in sizes], inputs)
    return make


# ---------------------------------------------------------------- torch.nn


def torch_architectures():
    x, y = torch.randn(2, 7, 32), torch.randn(2, 5, 32)
    for first, final in itertools.product((False, True), (False, True)):
        kwargs = dict(d_model=32, nhead=4, dim_feedforward=48, norm_first=first, batch_first=True)
        norm = (lambda: nn.LayerNorm(32)) if final else (lambda: None)
        builds = {
            "TransformerEncoder": (lambda kwargs=kwargs, norm=norm: nn.TransformerEncoder(nn.TransformerEncoderLayer(**kwargs), 3, norm()), [x]),
            "TransformerDecoder": (lambda kwargs=kwargs, norm=norm: nn.TransformerDecoder(nn.TransformerDecoderLayer(**kwargs), 3, norm()), [y, x]),
        }
        if final:
            builds["Transformer"] = (lambda kwargs=kwargs: nn.Transformer(num_encoder_layers=3, num_decoder_layers=3, **kwargs), [x, y])
        else:
            builds["TransformerEncoderLayer"] = (lambda kwargs=kwargs: nn.TransformerEncoderLayer(**kwargs), [x])
            builds["TransformerDecoderLayer"] = (lambda kwargs=kwargs: nn.TransformerDecoderLayer(**kwargs), [y, x])
        for cls, (build, values) in builds.items():
            condition = {"norm_first": str(first).lower()} if first else {}
            make = lambda build=build, values=values: first_that_runs([build], lambda _: [values])
            yield f"torch.{cls}@norm_first={first},final={final}", "torch", described(make, f"torch:{cls}", cls, condition, {"norm_first": "false"} if first else {})


# ---------------------------------------------------------------- vit-pytorch

VALUES = dict(image_size=[32], patch_size=[8], image_patch_size=[8], frame_patch_size=[2], freq_patch_size=[8], frames=[4], max_frames=[4], num_classes=[10], dim=[32, (32, 40, 48, 56)],
              depth=[2, (2, 2), (2, 2, 2), (2, 2, 2, 2)], cls_depth=[2], heads=[4, (2, 2, 2, 2), (2, 2, 2)], mlp_dim=[40], mlp_mult=[2], dim_head=[12], window_size=[2], seq_len=[32],
              sm_dim=[32], lg_dim=[40], sm_patch_size=[8], lg_patch_size=[16], max_tokens_per_depth=[(4, 3)], num_hierarchies=[2], block_repeats=[(2, 2)], reduction_factor=[(2, 2, 1, 1)],
              dims=[(32, 40, 48)], channels=[(16,) * 11], num_residual_streams=[2], stages=[2], num_slots=[4], s1_local_patch_size=[2], s2_local_patch_size=[2], s3_local_patch_size=[2],
              s4_local_patch_size=[1], local_window_size=[1], s1_emb_dim=[32], s2_emb_dim=[40], s3_emb_dim=[48], s4_emb_dim=[56], s3_depth=[2], s4_depth=[2], s1_depth=[2], s2_depth=[2],
              dim_conv_stem=[16], highres_patch_size=[4], patch_merge_num_tokens=[4], num_layers=[2], num_heads=[4], embedding_dim=[32], sm_enc_mlp_dim=[40], lg_enc_mlp_dim=[40],
              sm_enc_dim_head=[12], lg_enc_dim_head=[12], cross_attn_dim_head=[12], img_size=[32])


def vit_pytorch_architectures():
    """Every class with num_classes, with its required arguments and some sizes from the table above."""
    import vit_pytorch
    for found in pkgutil.iter_modules(vit_pytorch.__path__):
        try:
            module = importlib.import_module("vit_pytorch." + found.name)
        except Exception:
            continue
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == module.__name__ and {"num_classes", "image_size"} & set(inspect.signature(cls.__init__).parameters):
                yield f"vit_pytorch.{found.name}.{cls.__name__}", "vit_pytorch", described(vit_maker(cls), f"vit_pytorch:{found.name}.{cls.__name__}", cls.__name__)


def vit_maker(cls):
    def make():
        parameters = inspect.signature(cls.__init__).parameters
        wanted = [k for k, p in parameters.items() if k in VALUES and not (k == "channels" and p.default is not p.empty)]
        picks = list(itertools.islice(itertools.product(*[VALUES[k] for k in wanted]), 60))
        builders = [lambda pick=pick: cls(**dict(zip(wanted, pick))) for pick in picks]
        inputs = lambda model: [[torch.randn(2, 3, 32, 32)], [torch.randn(2, 3, 4, 32, 32)], [torch.randn(2, 3, 32)], [torch.randn(2, 3, 64, 64)], [[torch.randn(3, 32, 32)]], [[[torch.randn(3, 32, 32)]]], [torch.randn(2, 3, 224, 224)]]
        return first_that_runs(builders, inputs)
    return make


# ---------------------------------------------------------------- x-transformers


def x_architectures():
    """Encoder and decoder, then with one inverted option at a time."""
    import x_transformers as x
    from x_transformers.x_transformers import Attention, AttentionLayers, FeedForward
    options = [{}]
    for prefix, owner in (("", AttentionLayers), ("attn_", Attention), ("ff_", FeedForward)):
        for key, p in inspect.signature(owner.__init__).parameters.items():
            if isinstance(p.default, bool) and key not in ("causal", "cross_attend", "only_cross"):
                options.append({prefix + key: not p.default})
    options += [dict(attn_kv_heads=2), dict(attn_num_mem_kv=2), dict(shift_tokens=1), dict(num_residual_streams=2), dict(sandwich_coef=1), dict(par_ratio=2)]
    numbers = torch.randint(0, 50, (2, 9))
    a, c = torch.randn(2, 9, 32), torch.randn(2, 6, 32)
    class Crossed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
        def forward(self, tokens, context):
            return self.inner(tokens, context=context)
    for option in options:
        size = dict(dim=32, depth=2, heads=4, attn_dim_head=12)
        label = ",".join(f"{k}={str(v).lower()}" for k, v in option.items()) or "default"
        builds = {
            "Encoder": (lambda o=option, s=size: x.Encoder(**s, **o), [a]),
            "Decoder": (lambda o=option, s=size: x.Decoder(**s, **o), [a]),
            "CrossDecoder": (lambda o=option, s=size: x.Decoder(cross_attend=True, **s, **o), [a, c]),
            "TransformerWrapper": (lambda o=option, s=size: x.TransformerWrapper(num_tokens=50, max_seq_len=16, attn_layers=x.Decoder(**s, **o)), [numbers]),
            "ViTransformerWrapper": (lambda o=option, s=size: x.ViTransformerWrapper(image_size=32, patch_size=8, num_classes=10, attn_layers=x.Encoder(**s, **o)), [torch.randn(2, 3, 32, 32)]),
        }
        for cls, (build, values) in builds.items():
            if "Wrapper" in cls and label not in ("default", "pre_norm=false", "sandwich_norm=true", "macaron=true", "resi_dual=true", "rotary_pos_emb=true"):
                continue
            def make(build=build, values=values, cls=cls):
                made = first_that_runs([lambda: Crossed(build()) if cls == "CrossDecoder" else build()], lambda _: [values])
                if cls == "CrossDecoder":  # the names are those of the decoder
                    run, made["model"] = made["run"], made["model"].inner
                    cast = [v.double() for v in values]
                    made["run"] = lambda m: m(cast[0], context=cast[1])
                return made
            text = {k: str(v).lower() for k, v in option.items()}
            default = {k: str(not v).lower() if isinstance(v, bool) else "none" for k, v in option.items()}
            yield f"x_transformers.{cls}@{label}", "x_transformers", described(make, f"x_transformers:{cls}", cls, text, default)


# ---------------------------------------------------------------- transformers


class Absent:
    """Replaces modules that the tests of transformers import and that building a model does not need."""

    NAMES = ("pytest", "parameterized", "datasets", "timeout_decorator", "sentencepiece", "librosa", "pandas", "test_module", "flaky", "requests_mock")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = unittest.mock.MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module):
        pass


def test_cases(folder):
    """(name of the test file, test case) of every model test with a ModelTester."""
    import transformers.testing_utils as utilities
    sys.meta_path.append(Absent())
    folder = os.path.abspath(folder)
    sys.path.insert(0, os.path.dirname(folder))
    os.chdir(os.path.dirname(folder))  # where the tests look for their images
    def missing(name):  # helpers of other versions
        if name.startswith("__"):
            raise AttributeError(name)
        return unittest.mock.MagicMock()
    utilities.__getattr__ = missing
    for path in sorted(glob.glob(os.path.join(folder, "models", "*", "test_modeling_*.py"))):
        stem = os.path.basename(path)[len("test_modeling_"):-3]
        if stem.startswith(("tf_", "flax_")):
            continue
        try:
            module = importlib.import_module(f"{os.path.basename(os.path.abspath(folder))}.models.{os.path.basename(os.path.dirname(path))}.test_modeling_{stem}")
        except Exception as e:
            yield stem, e
            continue
        for case in vars(module).values():
            if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__ and getattr(case, "all_model_classes", None) and hasattr(case, "_prepare_for_class"):
                yield stem, case


def transformers_architectures(folder, variants, out):
    """Each model class of each test case, then with one inverted boolean of the configuration at a time."""
    import transformers
    cases = list(test_cases(folder))
    for stem, case in cases:
        if isinstance(case, Exception):
            yield f"hf.{stem}", "transformers", failing(case)
    cases = [(stem, case) for stem, case in cases if not isinstance(case, Exception)]
    for wanted in (True, False):
        for stem, case in cases:
            for cls, base in classes_of(case):
                if base == wanted:
                    yield f"hf.{stem}.{cls.__name__}", "transformers", transformers_maker(case, cls, {}, None if base else classes_of(case)[0][0])
    for stem, case in cases if variants else ():
        for cls, base in classes_of(case):
            if not base and not cls.__name__.endswith(("ForCausalLM", "LMHeadModel")):
                continue
            try:
                config = tester(case).model_tester.prepare_config_and_inputs_for_common()[0]
            except Exception:
                continue
            common = transformers.PretrainedConfig().to_dict()
            flips = [{k: not v} for k, v in config.to_dict().items() if isinstance(v, bool) and k not in common] if base else []
            if "position_embedding_type" in config.to_dict():
                flips += [{"position_embedding_type": v} for v in ("absolute", "relative_key", "relative_key_query", "rotary") if v != config.position_embedding_type]
            if cls.__name__.endswith(("ForCausalLM", "LMHeadModel")) and not config.is_encoder_decoder:
                flips.append({"is_decoder": not config.is_decoder})
                flips.append({"is_decoder": True, "add_cross_attention": True})
            if hasattr(config, "pos_att_type"):
                flips.append({"relative_attention": True, "pos_att_type": ["p2c", "c2p"]})
            plain = os.path.join(out, f"hf.{stem}.{cls.__name__}.json")
            if os.path.exists(plain):
                with open(plain) as f:
                    if not json.load(f).get("sites"):
                        continue
            for flip in flips:
                label = ",".join(f"{k}={written(v)}" for k, v in flip.items())
                yield f"hf.{stem}.{cls.__name__}@{label}", "transformers", transformers_maker(case, cls, flip, None)


def classes_of(case):
    """The model classes of a test case, and whether each is a base model."""
    classes = [c for c in case.all_model_classes if hasattr(c, "config_class")]
    bases = [c for c in classes if c.__name__.endswith("Model")] or classes[:1]
    return [(c, True) for c in bases] + [(c, False) for c in classes if c not in bases]


def written(value):
    return "|".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).lower()


def failing(error):
    def make():
        raise error
    return make


def tester(case, small=True):
    test = case("setUp")
    test.setUp()
    if small:
        shrink(test.model_tester)
    return test


def shrink(tester):
    """Reduces to two samples, and to few patches if the image has hundreds."""
    if isinstance(getattr(tester, "batch_size", None), int):
        tester.batch_size = min(tester.batch_size, 2)
    if getattr(tester, "image_size", None) == 30 and getattr(tester, "patch_size", None) == 2:
        tester.image_size = 10
    for inner in vars(tester).values():
        if type(inner).__name__.endswith("ModelTester"):
            shrink(inner)


class Ineffective(Exception):
    pass


def transformers_maker(case, cls, flip, base):
    def make(hidden=False):
        try:
            return build(hidden, True)
        except (TimeoutError, Ineffective):
            raise
        except Exception:  # some tests fail with fewer samples or patches
            return build(hidden, False)

    import transformers

    def build(hidden, small):
        torch.manual_seed(0)
        common = sys.modules.get(case.__module__.partition(".")[0] + ".test_modeling_common")
        if hasattr(common, "global_rng"):  # the random generator of the tests
            common.global_rng.seed(0)
        test = tester(case, small)
        config, inputs = test.model_tester.prepare_config_and_inputs_for_common()
        inputs = test._prepare_for_class(inputs, cls)
        for key, value in inputs.items():  # nothing is padded
            if key.endswith("attention_mask") and isinstance(value, torch.Tensor) and value.dim() == 2:
                inputs[key] = torch.ones_like(value)
        config = copy.deepcopy(config)
        if hasattr(config, "tie_word_embeddings"):
            config.tie_word_embeddings = False
        if getattr(config, "num_hidden_layers", None) == 1:
            with contextlib.suppress(Exception):
                config.num_hidden_layers = 2
        defaults = {k: getattr(config, k, None) for k in flip}
        original, absent = copy.deepcopy(config), {}
        with contextlib.suppress(Exception):
            absent = {k: getattr(type(config)(), k) for k in flip}
        for key, value in flip.items():
            setattr(config, key, value)
        if flip.get("add_cross_attention"):
            inputs["encoder_hidden_states"] = torch.randn(*inputs["input_ids"].shape, config.hidden_size)
        torch.manual_seed(0)
        model = cls(config)
        if hidden:
            inputs["output_hidden_states"] = True
        if "image_grid_thw" in inputs and hasattr(model, "visual"):  # the images of the tests are single patches without positions
            grid = torch.tensor([[1, 4, 4]])
            pixels = torch.randn(16, inputs["pixel_values"].shape[-1])
            inputs = dict(hidden_states=pixels, grid_thw=grid)
        def run(m):
            m = m.visual if "grid_thw" in inputs else m
            # past keys are not outputs, and a run must not see the cache of the last run
            dtype = next(m.parameters()).dtype
            args = {k: v.to(dtype) if isinstance(v, torch.Tensor) and v.is_floating_point() else copy.deepcopy(v) for k, v in inputs.items()}
            return m(**args)
        if small or flip:
            out = run_model(model.eval(), run)
        if flip and not flip.get("add_cross_attention"):
            torch.manual_seed(0)
            plain = cls(original).eval()
            same = lambda a, b: len(a) == len(b) and all(x.shape == y.shape and torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b))
            if plain.state_dict().keys() == model.state_dict().keys() and same(out, run_model(plain, run)):
                raise Ineffective("the option changes nothing here")
        prefixes = [(getattr(model, "base_model_prefix", "") or "").replace("-", "_"), "model"]
        prefix = next((p + "." for p in prefixes if p and isinstance(getattr(model, p, None), transformers.PreTrainedModel)), "")
        text = lambda d: {k: written(v) for k, v in d.items() if k != "pos_att_type"}  # goes with relative_attention
        # if the base model has the same blocks, they are measured with the base model
        seen = base and prefix and {n[len(prefix):] for n in named_parameters(model) if n.startswith(prefix)} <= named_parameters(base(original)).keys()
        return dict(model=model, run=run, labels=[config.model_type], cls=cls.__name__, prefix=prefix, condition=text(flip), default=text(defaults),
                    absent=text(absent), outside=prefix if seen else None)
    return make


def architectures(source, tests, variants, out):
    """(name, library, function that builds it) of all libraries or of one."""
    if source in (None, "transformers") and tests:
        yield from transformers_architectures(tests, variants, out)
    listed = {"torch": torch_architectures, "x_transformers": x_architectures, "vit_pytorch": vit_pytorch_architectures, "timm": timm_architectures}
    for name, list_them in listed.items():
        if source in (None, name):
            yield from list_them()
