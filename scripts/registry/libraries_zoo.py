"""Recipes for every model of some libraries, with the options that add or change their norms. Each library is a generator of
`(name, build)`, where `build()` returns a module without any download; `LIBRARIES` lists the generators. Sizes are the defaults or
those of the READMEs, or smaller if that would be slow.
"""
import copy, importlib, inspect, itertools, pkgutil

import torch as pytorch
from torch import nn


def text(value):
    """The value of an option as part of a file name."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[1], dict):
        return text(value[0]) + "".join(f"-{k}-{text(v)}" for k, v in value[1].items())
    if isinstance(value, dict):
        return "-".join(f"{k}-{text(v)}" for k, v in value.items())
    if isinstance(value, (tuple, list)):
        return "x".join(map(text, value))
    return getattr(value, "__name__", str(value)).lower() if isinstance(value, (bool, type)) else str(value)


def label(name, options):
    return name + "".join(f"__{k}-{text(v)}" for k, v in options.items())


def recipe(name, make, fixed, *variants, tag=""):
    """The model with its fixed arguments, then once more for each dict of additional options."""
    for options in ({}, *variants):
        yield label(name, options) + tag, lambda options=options: make(**copy.deepcopy({**fixed, **options}))  # some constructors change them


def flips(cls, fixed=()):
    """Each boolean argument inverted, one at a time."""
    return [{k: not p.default} for k, p in inspect.signature(cls.__init__).parameters.items()
            if isinstance(p.default, bool) and k not in fixed]


def classes_of(package):
    """(last name of its module, class) of every module class that a package defines."""
    for found in pkgutil.iter_modules(package.__path__):
        try:
            module = importlib.import_module(f"{package.__name__}.{found.name}")
        except Exception:
            continue
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == module.__name__:
                yield found.name, cls


# ---------------------------------------------------------------- vit-pytorch

VIT = dict(image_size=256, patch_size=32, num_classes=1000, dim=512, depth=6, heads=8, mlp_dim=1024)
VIDEO = dict(VIT, image_size=128, frames=16, image_patch_size=16, frame_patch_size=2, spatial_depth=6, temporal_depth=6)
ALL = {**VIDEO, **VIT, "seq_len": 256, "num_residual_streams": 4, "max_tokens_per_depth": (256, 128, 64, 32, 16, 8), "cls_depth": 2,
       "sm_dim": 192, "lg_dim": 384, "max_frames": 8, "freq_patch_size": 8, "num_slots": 8}
STAGES = dict(num_classes=1000)
VIT_SIZES = {  # for modules that the table above does not fit
    "crossformer": STAGES, "cvt": STAGES, "regionvit": STAGES, "twins_svt": STAGES, "cross_vit": dict(STAGES, sm_dim=192, lg_dim=384, image_size=240, sm_patch_size=12, lg_patch_size=16, depth=3),
    "levit": dict(STAGES, image_size=224, stages=3, dim=(256, 384, 512), depth=4, heads=(4, 6, 8), mlp_mult=2),
    "max_vit": dict(STAGES, dim_conv_stem=64, dim=96, dim_head=32, depth=(2, 2, 5, 2)),
    "max_vit_with_registers": dict(STAGES, dim_conv_stem=64, dim=96, dim_head=32, depth=(2, 2, 5, 2)),
    "mobile_vit": dict(STAGES, image_size=(256, 256), dims=[96, 120, 144], channels=[16, 32, 48, 48, 64, 64, 80, 80, 96, 96, 384]),
    "nest": dict(STAGES, image_size=224, patch_size=4, dim=96, heads=3, num_hierarchies=3, block_repeats=(2, 2, 8)),
    "pit": dict(VIT, image_size=224, patch_size=14, dim=256, depth=(3, 3, 3)),
    "scalable_vit": dict(STAGES, dim=64, heads=(2, 4, 8, 16), depth=(2, 2, 20, 2), ssa_dim_key=(40, 40, 40, 32), reduction_factor=(8, 4, 2, 1), window_size=(64, 32, None, None)),
    "sep_vit": dict(STAGES, dim=32, dim_head=32, heads=(1, 2, 4, 8), depth=(1, 2, 6, 2)),
    "t2t": dict(VIT, image_size=224, depth=5), "look_vit": dict(STAGES, dim=512, image_size=256, patch_size=16, highres_patch_size=8),
    "vit_nd": dict(VIT, ndim=3, input_shape=(8, 64, 64), patch_size=(2, 16, 16)), "vit_nd_pope": dict(VIT, ndim=3, input_shape=(8, 64, 64), patch_size=(2, 16, 16)),
    "vit_nd_rotary": dict(VIT, ndim=3, input_shape=(8, 64, 64), patch_size=(2, 16, 16)),
    "levjepa_nd": dict(VIT, ndim=3, input_shape=(8, 64, 64), patch_size=(2, 16, 16)), "vat_siglip": dict(depth=4, siglip_depth=4),
    "simple_vit_with_fft": dict(VIT, patch_size=8, freq_patch_size=8), "wwt": dict(VIT, num_slots=8), "jet_vit": dict(VIT, image_size=224, patch_size=16),
}


def vitpytorch():
    import vit_pytorch
    from vit_pytorch import vit, mae, simmim, mpp, mp3, dino, es_vit, distill, extractor, recorder, efficient, cct, cct_3d, lejepa, levjepa, levjepa_nd
    from vit_pytorch import learnable_memory_vit, accept_video_wrapper, vaat, vat, vat_siglip, t2t, vivit_with_moss
    for module, cls in classes_of(vit_pytorch):
        parameters = inspect.signature(cls.__init__).parameters
        if not {"num_classes", "image_size"} & set(parameters) or "net" in parameters or "encoder" in parameters or "vit" in parameters or module in ("cct", "cct_3d", "efficient", "vat_siglip") or cls.__name__ in ("AutoencodingHead", "AST", "ImageEmbedder", "Transformer"):
            continue
        sizes = VIT_SIZES.get(module, ALL)
        fixed = {k: v for k, v in sizes.items() if k in parameters}
        yield from recipe(f"{module}_{cls.__name__}", cls, fixed, *flips(cls))
    more = {
        "levit_LeViT": [dict(num_distill_classes=10)], "vivit_ViViT": [dict(variant="factorized_self_attention"), dict(pool="mean")],
        "na_vit_nested_tensor_NaViT": [dict(qk_rmsnorm=False, token_dropout_prob=0.1)], "vit_ViT": [dict(pool="mean"), dict(dim_head=512, heads=1)],
        "vit_with_patch_merger_ViT": [dict(patch_merge_layer=2)], "simple_vit_with_specialized_cls_SimpleViT": [dict(specialize_qkv_depth=3)],
        "simple_vit_orthog_residual_update_SimpleViT": [dict(orthog_residual_update_kwargs=dict(learned=True))],
        "wwt_WWT": [dict(num_slots=(8, 4)), dict(num_register_tokens=4), dict(num_register_slots=2)], "vat_ViT": [dict(num_register_tokens=4)], "vaat_ViT": [dict(num_register_tokens=4)],
        "looped_vit_LoopedViT": [dict(adaptive_loop=True, exit_threshold=0.5)],
    }
    for module, cls in classes_of(vit_pytorch):
        name = f"{module}_{cls.__name__}"
        if name in more:
            fixed = {k: v for k, v in VIT_SIZES.get(module, ALL).items() if k in inspect.signature(cls.__init__).parameters}
            yield from list(recipe(name, cls, fixed, *more[name]))[1:]
    for module in (cct, cct_3d):
        tag = module.__name__.rsplit(".", 1)[1]
        sizes = dict(img_size=224, embedding_dim=384, n_conv_layers=2, num_layers=14, num_heads=6, mlp_ratio=3.0, num_classes=1000, positional_embedding="learnable")
        yield from recipe(f"{tag}_CCT", module.CCT, sizes, dict(positional_embedding="none"), dict(positional_embedding="sine"))
        for size in (2, 4, 7, 14):
            yield f"{tag}_cct_{size}", lambda module=module, size=size: getattr(module, f"cct_{size}")()
    base = lambda **more: vit.ViT(**{**VIT, **more})
    wrapped = {
        "mae": lambda: mae.MAE(encoder=base(), masking_ratio=0.75, decoder_dim=512, decoder_depth=6),
        "simmim": lambda: simmim.SimMIM(encoder=base()),
        "mpp": lambda: mpp.MPP(transformer=base(), patch_size=32, dim=512),
        "mp3": lambda: mp3.MP3(vit=mp3.ViT(**VIT), masking_ratio=0.75),
        "dino": lambda: dino.Dino(base(), image_size=256, hidden_layer="to_latent"),
        "es_vit": lambda: es_vit.EsViTTrainer(named("cvt.CvT", num_classes=1000), image_size=256, hidden_layer="layers"),
        "lejepa": lambda: lejepa.LeJEPA(base(), image_size=256, hidden_layer="to_latent"),
        "lejepa_ema": lambda: lejepa.LeJEPA(base(), image_size=256, hidden_layer="to_latent", use_ema=True, moving_average_decay=0.99),
        "learnable_memory_Adapter": lambda: learnable_memory_vit.Adapter(vit=learnable_memory_vit.ViT(**VIT)),
        "extractor": lambda: extractor.Extractor(base()),
        "recorder": lambda: recorder.Recorder(base()),
        "accept_video": lambda: accept_video_wrapper.AcceptVideoWrapper(base(), add_time_pos_emb=True, dim_emb=512, time_seq_len=8),
        "accept_video_moss": lambda: accept_video_wrapper.AcceptVideoWrapper(base(), moss=dict(dim=512), patch_size=32),
        "moss": lambda: vivit_with_moss.MOSS(dim=512),
        "efficient_ViT": lambda: efficient.ViT(image_size=256, patch_size=32, num_classes=1000, dim=512, transformer=x_encoder(dim=512, depth=6, heads=8)),
        "efficient_ViT_rmsnorm": lambda: efficient.ViT(image_size=256, patch_size=32, num_classes=1000, dim=512, transformer=x_encoder(dim=512, depth=6, heads=8, use_rmsnorm=True)),
        "efficient_ViT_plain": lambda: efficient.ViT(image_size=256, patch_size=32, num_classes=1000, dim=512, transformer=vit.Transformer(512, 6, 8, 64, 1024)),
        "t2t_transformer": lambda: t2t.T2TViT(dim=512, image_size=224, num_classes=1000, transformer=x_encoder(dim=512, depth=6, heads=8)),
        "DistillableViT": lambda: distill.DistillableViT(**VIT),
        "DistillableT2TViT": lambda: distill.DistillableT2TViT(**{k: v for k, v in dict(VIT, image_size=224, depth=5).items() if k != "patch_size"}),
        "DistillableEfficientViT": lambda: distill.DistillableEfficientViT(image_size=256, patch_size=32, num_classes=1000, dim=512, transformer=x_encoder(dim=512, depth=6, heads=8)),
        "DistillWrapper": lambda: distill.DistillWrapper(student=distill.DistillableViT(**VIT), teacher=base()),
        "DistillWrapper__mlp_layernorm": lambda: distill.DistillWrapper(student=distill.DistillableViT(**VIT), teacher=base(), mlp_layernorm=True),
        "AST": lambda: vaat.AST(dim=384, depth=6, mlp_dim=1024, num_classes=1000),
        "AST__spec": lambda: vaat.AST(dim=384, depth=6, mlp_dim=1024, num_classes=1000, accept_spec=True),
    }
    yield from wrapped.items()
    video = dict(dim=512, depth=6, heads=8, mlp_dim=1024, image_size=128, patch_size=16, frames=8)
    jepa = [dict(use_batch_norm=False), dict(use_weight_standardization=True), dict(norm_fn=nn.LayerNorm)]
    yield from recipe("LeVJEPA", lambda **o: levjepa.LeVJEPA(levjepa.VideoTransformer(**video), image_size=128, **o), {}, *jepa)
    cube = dict(ndim=3, input_shape=(8, 64, 64), patch_size=(2, 16, 16))
    yield from recipe("LeVJEPAND", lambda **o: levjepa_nd.LeVJEPAND(levjepa_nd.NDTransformer(**cube, dim=512, depth=6, heads=8, mlp_dim=1024), input_shape=(8, 64, 64), **o), {}, *jepa)
    act = dict(dim=512, depth=6, heads=8, dim_head=64, dim_action=20, mlp_dim=1024)
    inner = dict(VIT, dim=512)
    ears = dict(dim=512, depth=6, heads=8, mlp_dim=1024)
    options = [dict(num_views=2), dict(num_tasks=4), dict(dim_extra_token=33), dict(add_self_attn=False), dict(num_advantage_bins=10), dict(time_seq_len=4)]
    yield from recipe("VAT", lambda **o: vat.VAT(dict(inner), **{**act, **o}), {}, *options)
    yield from recipe("VAAT", lambda **o: vaat.VAAT(dict(inner), dict(ears), **{**act, **o}), {}, dict(num_image_views=2, num_audio_views=2), *options[1:])
    yield from recipe("SigLIPVAT", vat_siglip.SigLIPVAT, dict(depth=4, siglip_depth=4), *options)
    yield "SigLIP", lambda: vat_siglip.SigLIP(depth=6)


def named(path, **options):
    module, cls = path.split(".")
    return getattr(importlib.import_module(f"vit_pytorch.{module}"), cls)(**options)


def x_encoder(**options):
    from x_transformers import Encoder
    return Encoder(**options)


# ---------------------------------------------------------------- x-transformers

NORM_OPTIONS = [dict(use_rmsnorm=True), dict(use_simple_rmsnorm=True), dict(use_scalenorm=True), dict(use_dynamic_tanh=True), dict(use_derf=True),
                dict(use_adaptive_layernorm=True, dim_condition=64), dict(use_adaptive_rmsnorm=True, dim_condition=64), dict(norm_add_unit_offset=False),
                dict(use_rmsnorm=True, norm_add_unit_offset=False), dict(use_scalenorm=True, norm_add_unit_offset=False),
                dict(use_adaptive_layernorm=True, use_adaptive_layerscale=True, dim_condition=64), dict(use_adaptive_rmsnorm=True, dim_condition=64, adaptive_condition_mlp=True)]
BLOCK_OPTIONS = [dict(sandwich_norm=True), dict(pre_norm=False), dict(pre_norm_has_final_norm=False), dict(pre_and_post_norm=True), dict(macaron=True), dict(gate_residual=True),
                 dict(use_layerscale=True), dict(scale_residual=True), dict(ff_glu=True), dict(ff_glu=True, ff_swish=True, ff_no_bias=True), dict(ff_post_act_ln=True),
                 dict(ff_relu_squared=True), dict(attn_qk_norm=True), dict(attn_qk_norm=True, attn_qk_norm_dim_scale=True), dict(attn_qk_rmsnorm=True), dict(attn_value_rmsnorm=True),
                 dict(attn_k_rmsnorm=True), dict(attn_kv_heads=2), dict(attn_one_kv_head=True), dict(attn_num_mem_kv=4), dict(attn_gate_values=True), dict(attn_head_scale=True),
                 dict(attn_on_attn=True), dict(attn_pre_talking_heads=True), dict(rotary_pos_emb=True), dict(rel_pos_bias=True), dict(dynamic_pos_bias=True, dynamic_pos_bias_norm=True),
                 dict(alibi_pos_bias=True), dict(shift_tokens=1), dict(residual_attn=True), dict(only_attn=True), dict(cross_attend=True), dict(unet_skips=True),
                 dict(integrate_layers=True), dict(num_residual_streams=4), dict(add_value_residual=True), dict(reinject_input=True), dict(weight_tie_layers=True), dict(depth_scale_residual=True),
                 dict(num_residual_streams=4, qkv_receive_diff_residuals=True), dict(add_value_residual=True, learned_value_residual_mix=False),
                 dict(sandwich_coef=1), dict(par_ratio=2), dict(attn_aggregated_residuals=True), dict(orthog_residual=True), dict(mv_split_residual=True), dict(gated_multi_residual=True, residual_fn_kwargs=dict(read_gate_rank=8)),
                 dict(polar_pos_emb=True), dict(attn_use_latent_q=True, attn_dim_latent_q=64), dict(attn_use_latent_kv=True, attn_dim_latent_kv=64)]


def x_hybrid(**options):
    from x_transformers import Encoder
    return Encoder(dim=256, depth=2, heads=4, attn_hybrid_module=nn.GRU(256, 256, batch_first=True), **options)


def xtransformers():
    import x_transformers as x
    from x_transformers import x_transformers as inner
    from x_transformers.continuous import ContinuousAutoregressiveWrapper
    size = dict(dim=256, depth=4, heads=4, verbose=False)
    booleans = []
    for prefix, owner in (("", inner.AttentionLayers), ("attn_", inner.Attention), ("ff_", inner.FeedForward)):
        booleans += [{prefix + k: v} for d in flips(owner, ("causal", "only_cross", "verbose", "flash", "flash_pack_seq", "onnxable", "use_latent_q", "use_latent_kv", "gated_multi_residual", "qkv_receive_diff_residuals", "learned_value_residual_mix", "reinject_input")) for k, v in d.items()]
    condition = lambda d: {**d, "dim_condition": 64} if any("adaptive" in k for k in d) else d
    singles = NORM_OPTIONS + BLOCK_OPTIONS
    singles += [condition(d) for d in booleans if condition(d) not in singles]
    clash = lambda a, b: set(a) & set(b)
    norms = [d for d in NORM_OPTIONS if "norm_add_unit_offset" not in d and "adaptive_condition_mlp" not in d and "use_adaptive_layerscale" not in d]
    common = [d for d in BLOCK_OPTIONS if set(d) <= {"sandwich_norm", "pre_norm", "pre_and_post_norm", "macaron", "gate_residual", "use_layerscale", "ff_glu", "ff_post_act_ln", "attn_qk_norm",
                                                     "attn_qk_norm_dim_scale", "attn_qk_rmsnorm", "cross_attend", "unet_skips", "rotary_pos_emb", "num_residual_streams", "attn_kv_heads"}]
    forbidden = [{"sandwich_norm", "pre_norm"}, {"use_dynamic_tanh", "pre_norm"}, {"pre_norm", "pre_and_post_norm"}, {"gate_residual", "num_residual_streams"}, {"unet_skips", "macaron"}, {"unet_skips", "cross_attend"}]
    pairs = [{**a, **b} for a, b in itertools.chain(itertools.product(norms, common), itertools.combinations(common, 2))
             if not clash(a, b) and not any(f <= {**a, **b}.keys() for f in forbidden)]
    for cls in (x.Encoder, x.Decoder):
        skip = ("attn_selective", "attn_use_cope", "rotary_xpos") if cls is x.Encoder else ()
        fit = [d for d in singles if not set(d) & set(skip)]
        yield from recipe(cls.__name__, cls, size, *fit, *pairs)
    yield from recipe("PrefixDecoder", x.PrefixDecoder, size, *NORM_OPTIONS[:4])
    yield from recipe("CrossAttender", x.CrossAttender, size, *NORM_OPTIONS[:4])
    yield from recipe("Encoder_hybrid", x_hybrid, {}, dict(attn_hybrid_learned_mix=True), dict(use_rmsnorm=True))
    yield from recipe("AttentionPool", x.AttentionPool, dict(dim=256), dict(use_transformer_blocks=True), dict(depth=2))
    layers = [d for d in singles if set(d) & {"use_rmsnorm", "use_scalenorm", "sandwich_norm", "pre_norm", "macaron", "cross_attend", "rotary_pos_emb", "ff_glu", "attn_qk_norm", "use_adaptive_layernorm"}]
    words = dict(num_tokens=1000, max_seq_len=256)
    wrap = [dict(post_emb_norm=True), dict(num_memory_tokens=4), dict(emb_dim=128), dict(tie_embedding=True), dict(l2norm_embed=True), dict(use_cls_token=True), dict(attn_pool=True),
            dict(recycling=True), dict(use_abs_pos_emb=False), dict(scaled_sinu_pos_emb=True), dict(mixture_of_softmax=True), dict(ff_deep_embed=True), dict(num_output_heads=2),
            dict(logits_dim=64), dict(return_only_embed=True), dict(add_continuous_pred_head=True), dict(average_pool_embed=True), dict(looped=True, layer=dict(pre_and_post_norm=True))]
    for cls in (x.Encoder, x.Decoder):
        make = lambda cls=cls, layer={}, **o: x.TransformerWrapper(**words, attn_layers=cls(**size, **layer), **o)
        yield from recipe(f"TransformerWrapper_{cls.__name__}", make, {}, *wrap)
        for option in layers:
            yield label(f"TransformerWrapper_{cls.__name__}", option), lambda make=make, option=option: make(layer=option)
            yield label(f"TransformerWrapper_{cls.__name__}__post_emb_norm", option), lambda make=make, option=option: make(layer=option, post_emb_norm=True)
    picture = dict(image_size=256, patch_size=32, num_classes=1000)
    make_vit = lambda layer={}, **o: x.ViTransformerWrapper(**picture, attn_layers=x.Encoder(**size, **layer), **o)
    make_plain = lambda layer={}, **o: x.ContinuousTransformerWrapper(max_seq_len=256, attn_layers=x.Decoder(**size, **layer), **o)
    yield from recipe("ViTransformerWrapper", make_vit, {}, dict(post_emb_norm=True), dict(num_register_tokens=4))
    yield from recipe("ContinuousTransformerWrapper", make_plain, {}, dict(dim_in=32, dim_out=100), dict(post_emb_norm=True), dict(num_memory_tokens=4), dict(dim_in=32, dim_out=100, probabilistic=True))
    for option in layers:
        yield label("ViTransformerWrapper", option), lambda option=option: make_vit(layer=option)
        yield label("ContinuousTransformerWrapper", option), lambda option=option: make_plain(layer=option, dim_in=32, dim_out=100)
    pair = dict(dim=256, enc_num_tokens=1000, enc_depth=3, enc_heads=4, enc_max_seq_len=256, dec_num_tokens=1000, dec_depth=3, dec_heads=4, dec_max_seq_len=256)
    both = lambda **o: {f"{side}_{k}": v for side in ("enc", "dec") for k, v in o.items()}
    yield from recipe("XTransformer", x.XTransformer, pair, dict(tie_token_emb=True), *[both(**d) for d in layers if "cross_attend" not in d])
    language = lambda **o: x.TransformerWrapper(**words, attn_layers=x.Decoder(**size), **o)
    rest = {
        "AutoregressiveWrapper": lambda: x.AutoregressiveWrapper(language()), "XLAutoregressiveWrapper": lambda: x.XLAutoregressiveWrapper(language(max_mem_len=64)),
        "AutoregressiveWrapper__rmsnorm": lambda: x.AutoregressiveWrapper(x.TransformerWrapper(**words, attn_layers=x.Decoder(**size, use_rmsnorm=True, rotary_pos_emb=True, ff_glu=True))),
        "NonAutoregressiveWrapper": lambda: x.NonAutoregressiveWrapper(x.TransformerWrapper(num_tokens=1001, max_seq_len=256, attn_layers=x.Encoder(**size)), mask_id=1000, self_token_critic=True),
        "ContinuousAutoregressiveWrapper": lambda: ContinuousAutoregressiveWrapper(make_plain(dim_in=32, dim_out=32)),
        "BeliefStateWrapper": lambda: importlib.import_module("x_transformers.belief_state_wrapper").BeliefStateWrapper(language(), language()),
        "DPO": lambda: importlib.import_module("x_transformers.dpo").DPO(language()),
        "MultiInputTransformerWrapper": lambda: x.MultiInputTransformerWrapper(num_tokens=dict(note=100, pitch=50), max_seq_len=256, attn_layers=x.Decoder(**size)),
        "MultiInputTransformerWrapper__post_emb_norm": lambda: x.MultiInputTransformerWrapper(num_tokens=dict(note=100, pitch=50), max_seq_len=256, attn_layers=x.Decoder(**size), post_emb_norm=True),
        "XValTransformerWrapper": lambda: x.XValTransformerWrapper(**words, numerical_token_id=3, attn_layers=x.Decoder(**size)),
        "NeoMLP": lambda: x.NeoMLP(dim_in=5, dim_hidden=7, dim_out=5, dim_model=64, depth=3),
        "FreeTransformer": lambda: importlib.import_module("x_transformers.free_transformer").FreeTransformer(num_tokens=1000, dim=256, dec_head_depth=2, dec_tail_depth=2, max_seq_len=256),
        "GPTVAE": lambda: importlib.import_module("x_transformers.gpt_vae").GPTVAE(num_tokens=1000, dim=256, depth=4, enc_depth=3, max_seq_len=256),
        "ContinuousTransformerAutoencoder": lambda: importlib.import_module("x_transformers.continuous_autoencoder").ContinuousTransformerAutoencoder(dim=256, enc_depth=2, dec_depth=2, max_seq_len=256),
        "FullBandwidth": lambda: importlib.import_module("x_transformers.full_bandwidth").FullBandwidth(x.TransformerWrapper(**words, attn_layers=x.Decoder(**size, depth_scale_residual=True), tie_embedding=True, post_emb_norm=True)),
        "NextLatentWrapper": lambda: importlib.import_module("x_transformers.next_latent_wrapper").NextLatentWrapper(language(), dim=256),
        "LatentAutoregressive": lambda: importlib.import_module("x_transformers.gpt_lejepa").LatentAutoregressive(language(), dim=256),
    }
    yield from rest.items()


# ---------------------------------------------------------------- MONAI

NORMS = ["batch", "instance", ("instance", {"affine": True}), ("group", {"num_groups": 4})]  # "layer" needs a shape, which only MedNeXt gives


def monai():
    from monai.networks import nets
    from monai.networks.nets import mednext, transchex
    io = dict(in_channels=1, out_channels=2)
    unet = dict(io, channels=(16, 32, 64, 128), strides=(2, 2, 2))
    flat = dict(in_channels=1, out_channels=1, num_res_blocks=1, channels=(32, 64, 64), attention_levels=(False, False, True), norm_num_groups=32)
    diffusion = dict(flat, num_head_channels=32)
    crossed = dict(with_conditioning=True, cross_attention_dim=64)
    kernels = dict(kernel_size=(3, 3, 3, 3), strides=(1, 2, 2, 2), upsample_kernel_size=(2, 2, 2))
    transformer = dict(hidden_size=192, mlp_dim=384, num_heads=6)
    sized = {  # fixed arguments by the number of spatial dimensions, then options
        "UNet": (lambda d: dict(unet, out_channels=4), dict(num_res_units=2), dict(adn_ordering="NA"), dict(adn_ordering="AN")),
        "BasicUNet": (lambda d: {}, dict(upsample="pixelshuffle"), dict(upsample="nontrainable")),
        "BasicUNetPlusPlus": (lambda d: {}, dict(deep_supervision=True)),
        "DynUNet": (lambda d: dict(io, **kernels), dict(res_block=True), dict(deep_supervision=True), dict(res_block=True, trans_bias=True)),
        "SegResNet": (lambda d: {}, dict(upsample_mode="deconv"), dict(use_conv_final=False)),
        "SegResNetVAE": (lambda d: dict(input_image_size=(64,) * d), dict(vae_estimate_std=True)),
        "SegResNetDS": (lambda d: {}, dict(dsdepth=2)), "SegResNetDS2": (lambda d: {}, dict(dsdepth=2)),
        "VNet": (lambda d: {}, dict(bias=True)), "AttentionUnet": (lambda d: unet,),
        "UNETR": (lambda d: dict(io, img_size=(96,) * d, feature_size=16, **transformer), dict(conv_block=False), dict(res_block=False), dict(proj_type="perceptron"), dict(qkv_bias=True)),
        "SwinUNETR": (lambda d: dict(io, feature_size=24), dict(use_v2=True), dict(normalize=False), dict(patch_norm=True), dict(downsample="mergingv2")),
        "ViT": (lambda d: dict(in_channels=1, img_size=(96,) * d, patch_size=(16,) * d, num_layers=4, **transformer), dict(classification=True), dict(proj_type="perceptron"), dict(qkv_bias=True), dict(pos_embed_type="sincos")),
        "ViTAutoEnc": (lambda d: dict(in_channels=1, img_size=(96,) * d, patch_size=(16,) * d, num_layers=4, **transformer), dict(proj_type="perceptron")),
        "MaskedAutoEncoderViT": (lambda d: dict(in_channels=1, img_size=(96,) * d, patch_size=(16,) * d, num_layers=4, decoder_hidden_size=96, decoder_num_heads=6, **transformer),),
        "NaViT": (lambda d: dict(image_size=(96,) * d, patch_size=16, num_classes=10, num_layers=4, **transformer), dict(qkv_bias=True)),
        "AutoencoderKL": (lambda d: dict(flat, latent_channels=3), dict(use_convtranspose=True), dict(with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False), dict(use_combined_linear=True), dict(include_fc=False)),
        "SPADEAutoencoderKL": (lambda d: dict(flat, label_nc=3, latent_channels=3), dict(include_fc=False)),
        "DiffusionModelUNet": (lambda d: diffusion, crossed, dict(num_class_embeds=10), dict(resblock_updown=True), dict(crossed, transformer_num_layers=2), dict(include_fc=False), dict(use_combined_linear=True)),
        "DiffusionModelEncoder": (lambda d: dict(diffusion, input_shape=(64,) * d), crossed),
        "SPADEDiffusionModelUNet": (lambda d: dict(diffusion, label_nc=3), crossed, dict(resblock_updown=True)),
        "ControlNet": (lambda d: {k: v for k, v in diffusion.items() if k != "out_channels"}, crossed),
        "SPADENet": (lambda d: dict(in_channels=4, out_channels=4, label_nc=3, input_shape=(64,) * d, channels=[16, 32, 64], z_dim=16), dict(is_vae=False)),
        "VQVAE": (lambda d: dict(in_channels=1, out_channels=1),),
        "Restormer": (lambda d: {}, dict(bias=True), dict(layer_norm_use_bias=False), dict(dual_pixel_task=True), dict(num_blocks=(2, 2, 2, 2), heads=(1, 2, 4, 8))),
        "MedNeXt": (lambda d: {}, dict(use_residual_connection=True), dict(deep_supervision=True), dict(global_resp_norm=True), dict(norm_type="layer"), dict(norm_type="layer", global_resp_norm=True), dict(use_residual_connection=True, global_resp_norm=True)),
        "DenseNet": (lambda d: io,), "DenseNet121": (lambda d: io,), "DenseNet169": (lambda d: io,), "DenseNet201": (lambda d: io,), "DenseNet264": (lambda d: io,),
        "HighResNet": (lambda d: dict(in_channels=4, out_channels=4), dict(bias=True), dict(channel_matching="project")),
        "RegUNet": (lambda d: dict(in_channels=2, num_channel_initial=16, depth=3), dict(pooling=False), dict(concat_skip=True)),
        "GlobalNet": (lambda d: dict(image_size=[32] * d, in_channels=2, num_channel_initial=16, depth=3), dict(pooling=False)),
        "LocalNet": (lambda d: dict(in_channels=2, num_channel_initial=16, extract_levels=(0, 1, 2)), dict(use_additive_sampling=False)),
        "AHNet": (lambda d: {}, dict(psp_block_num=0), dict(upsample_mode="bilinear")),
        "AutoEncoder": (lambda d: dict(in_channels=1, out_channels=4, channels=(16, 32, 64), strides=(2, 2, 2)), dict(num_res_units=2), dict(inter_channels=[128, 128])),
        "VarAutoEncoder": (lambda d: dict(in_shape=(1,) + (64,) * d, out_channels=4, latent_size=16, channels=(16, 32, 64), strides=(2, 2, 2)), dict(num_res_units=2)),
        "PatchDiscriminator": (lambda d: dict(channels=32, in_channels=1),),
        "MultiScalePatchDiscriminator": (lambda d: dict(num_d=2, num_layers_d=3, channels=32, in_channels=1),),
        "VoxelMorphUNet": (lambda d: dict(in_channels=2, unet_out_channels=32, channels=(16, 32, 32, 32, 32, 32), final_conv_channels=(16, 16)),),
        "VoxelMorph": (lambda d: {},),
    }
    unlisted = {cls.__name__: cls for _, cls in classes_of(nets)}
    norm_like = lambda cls: next((k for k in ("norm", "norm_name", "norm_type") if k in inspect.signature(cls.__init__).parameters), None)
    def varied(name, cls, fixed, options=(), tag=""):
        key = norm_like(cls)
        yield from recipe(name, cls, fixed, *options, tag=tag)
        for norm in NORMS if key and cls is not nets.MedNeXt else ():
            if cls is nets.VoxelMorphUNet and norm[0] == "group":
                continue  # it ends with a norm over 2 or 3 channels
            yield from list(recipe(name, cls, fixed, {key: norm}, tag=tag))[1:]
            for option in options[:1]:
                yield from list(recipe(name, cls, fixed, {key: norm, **option}, tag=tag))[1:]
    for name, (arguments, *options) in sized.items():
        cls = getattr(nets, name, None) or unlisted[name]
        for d in (3, 2):
            yield from varied(name, cls, dict(arguments(d), spatial_dims=d), options, f"__{d}d")
    shaped = dict(in_shape=(1, 64, 64), channels=(8, 16, 32), strides=(2, 2, 2))
    for name, fixed in (("Regressor", dict(shaped, out_shape=(4,))), ("Classifier", dict(shaped, classes=5)), ("Discriminator", shaped), ("Critic", shaped),
                        ("Generator", dict(latent_shape=(32,), start_shape=(32, 8, 8), channels=(32, 16, 4), strides=(2, 2, 1)))):
        yield from varied(name, getattr(nets, name), fixed, [dict(num_res_units=0)])
    for name in ("SENet154", "SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101"):
        for d in (2, 3):
            yield from recipe(name, getattr(nets, name), dict(spatial_dims=d, in_channels=1, num_classes=10), tag=f"__{d}d")
    for size in (10, 18, 34, 50, 101, 152, 200):
        make = getattr(nets, f"resnet{size}")
        many = [dict(norm=n) for n in NORMS if n != "instance"] + [dict(feed_forward=False), dict(shortcut_type="A")] if size in (18, 50) else []
        for d in (3, 2):
            yield from recipe(f"resnet{size}", make, dict(spatial_dims=d, n_input_channels=1, num_classes=10), *many, tag=f"__{d}d")
    yield from recipe("ResNetFeatures", nets.ResNetFeatures, dict(model_name="resnet18", pretrained=False))
    for size in ("b0", "b3", "b7"):
        fixed = dict(model_name=f"efficientnet-{size}", pretrained=False)
        yield from recipe(f"EfficientNetBN_{size}", nets.EfficientNetBN, fixed, *[dict(norm=n) for n in NORMS], dict(spatial_dims=3))
        yield from recipe(f"EfficientNetBNFeatures_{size}", nets.EfficientNetBNFeatures, fixed)
    for backbone in ("efficientnet-b0", "efficientnet-b4", "resnet18", "resnet50"):
        yield from recipe(f"FlexibleUNet_{backbone}", nets.FlexibleUNet, dict(in_channels=3, out_channels=2, backbone=backbone), *[dict(norm=n) for n in NORMS], dict(decoder_bias=True), dict(upsample="deconv"), dict(spatial_dims=3))
    yield from recipe("HoVerNet", nets.HoVerNet, dict(mode="fast", out_classes=5), dict(mode="original"), dict(adapt_standard_resnet=True), *[dict(norm=n) for n in NORMS])
    yield from recipe("Quicknat", nets.Quicknat, {}, dict(adn_ordering="NDA"), dict(se_block="CSE"), *[dict(norm=n) for n in NORMS])
    for mode in ("mean", "max", "att", "att_trans", "att_trans_pyramid"):
        yield f"MILModel_{mode}", lambda mode=mode: nets.MILModel(num_classes=2, mil_mode=mode, pretrained=False)
    offline = transchex.MultiModal
    offline.from_pretrained = staticmethod(lambda path_or_repo_id, filename, **o: offline(**o))  # without its weights
    yield "Transchex", lambda: nets.Transchex(in_channels=3, img_size=(224, 224), patch_size=(32, 32), num_classes=14, num_language_layers=2, num_vision_layers=2, num_mixed_layers=2)
    yield from recipe("DecoderOnlyTransformer", nets.DecoderOnlyTransformer, dict(num_tokens=256, max_seq_len=128, attn_layers_dim=192, attn_layers_depth=4, attn_layers_heads=6),
                      dict(with_cross_attention=True), dict(include_fc=False), dict(use_combined_linear=True))
    yield "DAF3D", lambda: nets.DAF3D(in_channels=1, out_channels=2)
    yield "vista3d132", lambda: nets.vista3d132(in_channels=1)
    yield from recipe("FullyConnectedNet", nets.FullyConnectedNet, dict(in_channels=8, out_channels=3, hidden_channels=[16, 32]), dict(adn_ordering="NDA"))
    yield from recipe("VarFullyConnectedNet", nets.VarFullyConnectedNet, dict(in_channels=8, out_channels=3, latent_size=4, encode_channels=[16, 32], decode_channels=[16]), dict(adn_ordering="NDA"))
    for name in ("resnet18", "resnet50", "inception_v3", "vit_b_16"):
        head = dict(use_conv=False, pool=None, fc_name="heads.head") if name.startswith("vit") else dict(pool=None) if name.startswith("inception") else {}
        yield f"TorchVisionFCModel_{name}", lambda name=name, head=head: nets.TorchVisionFCModel(name, num_classes=4, pretrained=False, **head)
    def dints(instance, down=True, **o):
        kind = nets.TopologyInstance if instance else nets.TopologySearch
        space = kind(channel_mul=0.2, num_blocks=6, num_depths=3, use_downsample=down, spatial_dims=o.get("spatial_dims", 3), **{k: v for k, v in o.items() if k == "norm_name"})
        return nets.DiNTS(dints_space=space, in_channels=1, num_classes=2, use_downsample=down, **o)
    yield from recipe("DiNTS_search", lambda **o: dints(False, **o), {}, dict(down=False), dict(norm_name="batch"), dict(norm_name=("group", {"num_groups": 1})), dict(spatial_dims=2))
    yield from recipe("DiNTS_instance", lambda **o: dints(True, **o), {}, dict(norm_name="batch"))
    for variant in "SBML":
        yield f"MedNeXt_{variant}", lambda variant=variant: mednext.create_mednext(variant, deep_supervision=True)


# ---------------------------------------------------------------- audio separation and codecs

def audio_sep():
    from asteroid import models
    from asteroid.masknn import convolutional, recurrent
    from asteroid.models import x_umx
    norms = ["gLN", "fgLN", "cLN", "cgLN", "bN", "BatchNorm"]
    plain = dict(ConvTasNet=dict(n_src=2), DPRNNTasNet=dict(n_src=2), DPTNet=dict(n_src=2, n_repeats=2), FasNetTAC=dict(n_src=2, n_layers=2), DeMask=dict(hidden_dims=(512, 512)))
    more = {
        "ConvTasNet": [dict(skip_chan=0), dict(causal=True, norm_type="cLN"), dict(causal=True, norm_type="cgLN"), dict(mask_act="relu")],
        "DPRNNTasNet": [dict(use_mulcat=True), dict(bidirectional=False), dict(rnn_type="GRU")],
        "DPTNet": [dict(bidirectional=False)],
        "FasNetTAC": [dict(use_tac=False)],
        "DeMask": [dict(input_type="cat")],
    }
    for name, fixed in plain.items():
        cls = getattr(models, name)
        yield from recipe(f"asteroid_{name}", cls, fixed, *more[name])
        for norm in norms:
            yield f"asteroid_{name}__{norm}", lambda cls=cls, fixed=fixed, norm=norm: cls(**fixed, norm_type=norm)
    yield from recipe("asteroid_LSTMTasNet", models.LSTMTasNet, dict(n_src=2), dict(bidirectional=False), dict(n_filters=512))
    yield from recipe("asteroid_SuDORMRFNet", models.SuDORMRFNet, dict(n_src=2, num_blocks=4), dict(upsampling_depth=5))
    yield from recipe("asteroid_SuDORMRFImprovedNet", models.SuDORMRFImprovedNet, dict(n_src=2, num_blocks=4), dict(upsampling_depth=5))
    rnn = recurrent.DCCRMaskNetRNN
    recurrent.DCCRMaskNetRNN = lambda size, **o: rnn(int(size), **o)  # torch refuses numpy's integer
    yield "asteroid_DCCRNet", lambda: models.DCCRNet("DCCRN-CL")
    yield "asteroid_DCCRNet_mini", lambda: models.DCCRNet("mini")
    for name in ("mini", "DCUNet-10", "DCUNet-16", "DCUNet-20", "Large-DCUNet-20"):
        yield f"asteroid_DCUNet_{name}", lambda name=name: models.DCUNet(name)
    yield from recipe("asteroid_XUMX", x_umx.BrokenXUMX, dict(sources=["vocals", "drums"], window_length=1024, in_chan=1024, hidden_size=256, max_bin=400), dict(bidirectional=False))
    for norm in norms[:5]:
        yield f"asteroid_TDConvNet__{norm}", lambda norm=norm: convolutional.TDConvNet(64, 2, norm_type=norm)
        yield f"asteroid_DPRNN__{norm}", lambda norm=norm: recurrent.DPRNN(64, 2, norm_type=norm)
    yield "asteroid_TDConvNetpp", lambda: convolutional.TDConvNetpp(64, 2)

    from encodec.model import EncodecModel, LMModel
    from encodec.msstftd import MultiScaleSTFTDiscriminator
    get = EncodecModel._get_model
    yield "encodec24", lambda: get([1.5, 3.0, 6.0, 12.0, 24.0], 24_000, 1, causal=True, model_norm="weight_norm", name="encodec_24khz")
    yield "encodec48", lambda: get([3.0, 6.0, 12.0, 24.0], 48_000, 2, causal=False, model_norm="time_group_norm", audio_normalize=True, segment=1.0, name="encodec_48khz")
    for norm in ("none", "weight_norm", "spectral_norm", "layer_norm", "time_group_norm"):
        yield f"encodec__{norm}", lambda norm=norm: get([24.0], 24_000, 1, causal=norm == "layer_norm", model_norm=norm)
    yield "encodec_lm24", lambda: LMModel(32, 1024, num_layers=5, dim=200, past_context=int(3.5 * 75))
    yield "encodec_lm48", lambda: LMModel(16, 1024, num_layers=5, dim=200, past_context=int(3.5 * 150))
    yield "encodec_discriminator", lambda: MultiScaleSTFTDiscriminator(filters=32)

    from dac import DAC
    from dac.model import Discriminator
    for rate, sizes in ((44, {}), (24, dict(encoder_rates=[2, 4, 5, 8], decoder_rates=[8, 5, 4, 2], n_codebooks=32, sample_rate=24000)),
                        (16, dict(encoder_rates=[2, 4, 5, 8], decoder_rates=[8, 5, 4, 2], n_codebooks=12, sample_rate=16000))):
        yield f"dac{rate}", lambda sizes=sizes: DAC(**sizes)
    yield "dac_discriminator", lambda: Discriminator()

    import scipy.signal
    scipy.signal.cosine = scipy.signal.windows.cosine  # newer versions have it only there
    from vocos import heads, models as vocoders, discriminators
    small = dict(input_channels=100, dim=512, intermediate_dim=1536, num_layers=8)
    whole = lambda backbone, head: nn.ModuleDict(dict(backbone=backbone, head=head))
    tops = dict(istft=lambda: heads.ISTFTHead(512, 1024, 256), imdct=lambda: heads.IMDCTSymExpHead(512, 512), imdctcos=lambda: heads.IMDCTCosHead(512, 512))
    yield from recipe("vocos_backbone", vocoders.VocosBackbone, small, dict(adanorm_num_embeddings=4), dict(layer_scale_init_value=0.0), dict(input_channels=128, dim=384, adanorm_num_embeddings=4))
    yield from recipe("vocos_resnet", vocoders.VocosResNetBackbone, dict(input_channels=100, dim=512, num_blocks=3), dict(layer_scale_init_value=0.1))
    for top, make in tops.items():
        yield f"vocos_{top}", lambda make=make: whole(vocoders.VocosBackbone(**small), make())
        yield f"vocos_{top}__adanorm", lambda make=make: whole(vocoders.VocosBackbone(**small, adanorm_num_embeddings=4), make())
    yield from recipe("vocos_mpd", discriminators.MultiPeriodDiscriminator, {}, dict(num_embeddings=4))
    yield from recipe("vocos_mrd", discriminators.MultiResolutionDiscriminator, {}, dict(num_embeddings=4))

    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    stems = dict(sources=["drums", "bass", "other", "vocals"])
    dconv = [dict(dconv_mode=m) for m in (0, 2, 3)] + [dict(norm_starts=0), dict(norm_starts=999), dict(norm_groups=1), dict(rewrite=False)]
    lstm = [dict(dconv_attn=0), dict(dconv_lstm=0), dict(dconv_mode=3, dconv_attn=2, dconv_lstm=2)]
    yield from recipe("demucs", Demucs, dict(stems, channels=32), dict(lstm_layers=2), dict(gelu=False), dict(glu=False), *dconv, *lstm)
    yield from recipe("hdemucs", HDemucs, dict(stems, channels=32), dict(hybrid=False), dict(hybrid_old=True), dict(cac=False), dict(multi_freqs=[0.5]), dict(freq_emb=0), *dconv, *lstm)
    yield from recipe("htdemucs", HTDemucs, stems, dict(t_norm_in=False), dict(t_norm_in_group=True), dict(t_group_norm=True), dict(t_norm_first=False), dict(t_norm_out=False), dict(t_layer_scale=False),
                      dict(t_norm_first=False, t_norm_out=False), dict(t_norm_first=False, t_group_norm=True), dict(t_norm_first=False, t_layer_scale=False), dict(t_emb="cape"), dict(t_emb="scaled"),
                      dict(t_cross_first=True), dict(bottom_channels=512), dict(t_layers=0), dict(t_gelu=False), dict(t_sparse_self_attn=True, t_auto_sparsity=True),
                      dict(t_sparse_cross_attn=True, t_auto_sparsity=True), dict(t_group_norm=True, t_norm_in_group=True), dict(multi_freqs=[0.5]), *dconv)


# ---------------------------------------------------------------- torch_geometric

def torch_geometric():
    from torch_geometric import nn as graph
    from torch_geometric.nn import models, norm as all_norms
    width, classes = 64, 10
    norms = {"batch": (graph.BatchNorm, {}), "instance": (graph.InstanceNorm, {}), "instance_affine": (graph.InstanceNorm, dict(affine=True)), "layer_graph": (graph.LayerNorm, dict(mode="graph")),
             "layer_node": (graph.LayerNorm, dict(mode="node")), "layer_plain": (graph.LayerNorm, dict(affine=False)), "graph": (graph.GraphNorm, {}), "diffgroup": (graph.DiffGroupNorm, dict(groups=4)),
             "graphsize": (graph.GraphSizeNorm, {}), "pair": (graph.PairNorm, {}), "meansubtraction": (graph.MeanSubtractionNorm, {}),
             "heterolayer": (all_norms.HeteroLayerNorm, dict(num_types=3)), "heterobatch": (all_norms.HeteroBatchNorm, dict(num_types=3))}
    widthless = ("graphsize", "meansubtraction")  # models that build their norms themselves pass a width
    bare = ("graphsize", "pair", "meansubtraction")  # norms without a width among their arguments
    made = lambda kind, w=width: norms[kind][0](**norms[kind][1]) if kind in bare else norms[kind][0](w, **norms[kind][1])
    size = dict(in_channels=32, hidden_channels=width, num_layers=3, out_channels=classes)
    scaled = lambda: dict(aggregators=["mean", "min", "max", "std"], scalers=["identity", "amplification", "attenuation"], deg=pytorch.tensor([0, 5, 9, 4], device="cpu"))
    nets = {"GCN": {}, "GraphSAGE": {}, "GIN": {}, "GAT": dict(heads=4), "EdgeCNN": {}, "PNA": scaled}
    for name, extra in nets.items():
        cls = getattr(models, name)
        def build(cls=cls, extra=extra, **o):
            return cls(**size, **(extra() if callable(extra) else extra), **o)
        yield from recipe(name, build, {}, dict(jk="cat"), dict(jk="lstm"), *([dict(v2=True)] if name == "GAT" else [dict(project=True)] if name == "GraphSAGE" else []))
        for kind, (norm, options) in norms.items():
            if kind.startswith("hetero") or kind in widthless:
                continue
            yield f"{name}__{kind}", lambda build=build, norm=norm, options=options: build(norm=norm.__name__, norm_kwargs=dict(options))
    for kind, (norm, options) in norms.items():
        if kind in widthless:
            continue
        yield f"MLP__{kind}", lambda norm=norm, options=options: models.MLP([32, width, width, classes], norm=norm.__name__, norm_kwargs=dict(options))
    yield from recipe("MLP", models.MLP, dict(channel_list=[32, width, width, classes]), dict(norm=None), dict(plain_last=False))

    def deep(block, kind, conv):
        convs = {"gen": lambda: graph.GENConv(width, width, aggr="softmax", learn_t=True, num_layers=2, norm="layer"), "gcn": lambda: graph.GCNConv(width, width), "sage": lambda: graph.SAGEConv(width, width)}
        layers = [models.DeepGCNLayer(convs[conv](), made(kind), nn.ReLU(inplace=True), block=block) for _ in range(3)]
        return nn.ModuleDict(dict(node_encoder=nn.Linear(32, width), layers=nn.ModuleList(layers), lin=nn.Linear(width, classes)))
    for block, kind, conv in itertools.product(("res+", "res", "dense", "plain"), norms, ("gen", "gcn", "sage")):
        yield f"DeepGCN_{block}__{kind}__{conv}", lambda block=block, kind=kind, conv=conv: deep(block, kind, conv)
    for norm, msg in itertools.product(("batch", "layer", "instance", None), (False, True)):
        yield f"GENConv__{norm}__msg_norm-{text(msg)}", lambda norm=norm, msg=msg: nn.ModuleList(graph.GENConv(width, width, num_layers=2, norm=norm, msg_norm=msg, learn_msg_scale=msg) for _ in range(3))

    def gps(conv, norm=None, options=None, attention="multihead"):
        local = {"gine": lambda: graph.GINEConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))), "gated": lambda: graph.ResGatedGraphConv(width, width), "none": lambda: None}
        return nn.ModuleDict(dict(node_emb=nn.Embedding(28, width), pe_norm=nn.BatchNorm1d(20), convs=nn.ModuleList(
            graph.GPSConv(width, local[conv](), heads=4, norm=norm, norm_kwargs=options, attn_type=attention) for _ in range(3)), mlp=nn.Linear(width, classes)))
    for kind, (norm, options) in norms.items():
        if not kind.startswith("hetero") and kind not in widthless:
            yield f"GPSConv__{kind}", lambda norm=norm, options=options: gps("gine", norm.__name__, dict(options))
    for conv, attention in itertools.product(("gine", "gated", "none"), ("multihead", "performer")):
        yield f"GPSConv__{conv}__{attention}", lambda conv=conv, attention=attention: gps(conv, "batch_norm", {}, attention)
    for kind in (*norms, None):
        stack = lambda kind=kind, **o: nn.ModuleDict(dict(convs=nn.ModuleList(graph.TransformerConv(width, width // 4, heads=4, **o) for _ in range(3)), norms=nn.ModuleList(made(kind) for _ in range(3) if kind)))
        yield from recipe(f"TransformerConv__{kind}", stack, {}, dict(beta=True))
        for conv in ("GATv2Conv", "GraphConv", "SAGEConv", "ChebConv", "PDNConv", "ResGatedGraphConv", "GMMConv") if kind in ("batch", "layer_node", "graph", "diffgroup") else ():
            extra = dict(ChebConv=dict(K=3), PDNConv=dict(edge_dim=8, hidden_channels=16), GMMConv=dict(dim=3, kernel_size=5)).get(conv, {})
            yield f"{conv}__{kind}", lambda conv=conv, kind=kind, extra=extra: nn.ModuleDict(dict(convs=nn.ModuleList(getattr(graph, conv)(width, width, **extra) for _ in range(3)), bns=nn.ModuleList(made(kind) for _ in range(3))))
    yield "GraphUNet", lambda: models.GraphUNet(32, width, classes, depth=3)
    yield "SGFormer", lambda: models.SGFormer(32, width, classes)
    yield from recipe("Polynormer", models.Polynormer, dict(in_channels=32, hidden_channels=width, out_channels=classes), dict(pre_ln=True), dict(post_bn=False), dict(local_attn=True), dict(pre_ln=True, post_bn=False))
    from torch_geometric.nn.models.graph_mixer import LinkEncoder
    yield "GraphMixer", lambda: LinkEncoder(k=10, in_channels=16, hidden_channels=width, out_channels=width, time_channels=16)
    yield "MLPMixer", lambda: importlib.import_module("torch_geometric.nn.models.graph_mixer")._MLPMixer(num_tokens=10, in_channels=width, out_channels=width)
    yield from recipe("PMLP", models.PMLP, dict(in_channels=32, hidden_channels=width, out_channels=classes, num_layers=3), dict(norm=False))
    yield "LPFormer", lambda: models.LPFormer(32, width)
    yield "LINKX", lambda: models.LINKX(100, 32, width, classes, num_layers=2, num_edge_layers=2, num_node_layers=2)
    yield "AttentiveFP", lambda: models.AttentiveFP(32, width, classes, edge_dim=8, num_layers=2, num_timesteps=2)
    yield "SchNet", lambda: models.SchNet()
    yield "GNNFF", lambda: models.GNNFF(width, width, num_layers=3)
    yield from recipe("ViSNet", models.ViSNet, {}, dict(vecnorm_type="max_min"), dict(vecnorm_type="max_min", trainable_vecnorm=True), dict(vertex=True))
    yield "DimeNetPlusPlus", lambda: models.DimeNetPlusPlus(hidden_channels=64, out_channels=1, num_blocks=2, int_emb_size=32, basis_emb_size=8, out_emb_channels=64, num_spherical=3, num_radial=3)
    yield "SignedGCN", lambda: models.SignedGCN(32, width, 2)
    yield from recipe("GPSE", models.GPSE, dict(dim_inner=128, layers_mp=4), dict(has_bn=False), dict(head_bn=True))
    yield from recipe("GPSENodeEncoder", models.GPSENodeEncoder, dict(dim_emb=64, dim_pe_in=51, dim_pe_out=32), dict(norm_type=None), dict(model_type="linear"))
    yield "NeuralFingerprint", lambda: models.NeuralFingerprint(32, width, classes, num_layers=3)
    rev = lambda: nn.ModuleList(models.GroupAddRev(nn.Sequential(graph.GENConv(width // 2, width // 2)), num_groups=2) for _ in range(3))
    yield "GroupAddRev", rev
    for kind in ("layer_node", "batch", "graph"):
        block = lambda kind: nn.ModuleDict(dict(norm=made(kind, width // 2), conv=graph.SAGEConv(width // 2, width // 2)))
        yield f"RevGNN__{kind}", lambda kind=kind, block=block: nn.ModuleDict(dict(lin1=nn.Linear(32, width), lin2=nn.Linear(width, classes), norm=made("layer_node"), convs=nn.ModuleList(models.GroupAddRev(block(kind), num_groups=2) for _ in range(3))))
    decoder = lambda heads: nn.ModuleList(graph.aggr.SetTransformerAggregation(width, heads=heads, layer_norm=norm) for norm in (False, True))
    yield "SetTransformerAggregation", lambda: decoder(4)
    yield from recipe("GraphMultisetTransformer", graph.aggr.GraphMultisetTransformer, dict(channels=width, k=4), dict(layer_norm=True))


# ---------------------------------------------------------------- segment-anything, torchaudio, torch

def segment_anything():
    from segment_anything import sam_model_registry
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
    for name in ("vit_b", "vit_l", "vit_h"):
        yield f"sam_{name}", lambda name=name: sam_model_registry[name]()
    yield "prompt_encoder", lambda: PromptEncoder(embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16)
    yield "mask_decoder", lambda: MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8))
    yield from recipe("image_encoder", ImageEncoderViT, {}, dict(use_rel_pos=True, window_size=14, global_attn_indexes=(2, 5, 8, 11)), dict(qkv_bias=False), dict(use_abs_pos=False))
    yield "two_way_transformer", lambda: TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)


def torchaudio():
    from torchaudio import models
    conformer = dict(input_dim=80, num_heads=4, ffn_dim=128, num_layers=4, depthwise_conv_kernel_size=31)
    yield from recipe("Conformer", models.Conformer, conformer, dict(use_group_norm=True), dict(convolution_first=True), dict(use_group_norm=True, convolution_first=True))
    yield from recipe("Emformer", models.Emformer, dict(input_dim=512, num_heads=8, ffn_dim=2048, num_layers=4, segment_length=4), dict(right_context_length=1), dict(max_memory_size=4), dict(tanh_on_mem=True))
    yield from recipe("ConvTasNet", models.ConvTasNet, {}, dict(msk_activate="relu"))
    yield "conv_tasnet_base", models.conv_tasnet_base
    yield "DeepSpeech", lambda: models.DeepSpeech(n_feature=40)
    yield from recipe("Wav2Letter", models.Wav2Letter, {}, dict(input_type="mfcc", num_features=40))
    yield "WaveRNN", lambda: models.WaveRNN(upsample_scales=[5, 5, 8], n_classes=512, hop_length=200)
    yield from recipe("Tacotron2", models.Tacotron2, {}, dict(n_frames_per_step=2))
    for size in ("low", "medium", "high"):
        yield f"hdemucs_{size}", lambda size=size: getattr(models, f"hdemucs_{size}")(["drums", "bass", "other", "vocals"])
    yield from recipe("HDemucs", models.HDemucs, dict(sources=["drums", "vocals"], channels=32), dict(norm_starts=0), dict(norm_starts=99), dict(norm_groups=1), dict(dconv_attn=0, dconv_lstm=0))
    for name in ("wav2vec2_base", "wav2vec2_large", "wav2vec2_large_lv60k", "wav2vec2_xlsr_300m", "wav2vec2_xlsr_1b", "wav2vec2_xlsr_2b", "hubert_base", "hubert_large", "hubert_xlarge", "wavlm_base", "wavlm_large"):
        yield from recipe(name, getattr(models, name), {}, dict(aux_num_out=32))
    for name in ("hubert_pretrain_base", "hubert_pretrain_large"):  # the largest has the same names
        yield name, getattr(models, name)
    speech = dict(extractor_conv_layer_config=None, extractor_conv_bias=False, encoder_embed_dim=256, encoder_projection_dropout=0.1, encoder_pos_conv_kernel=128, encoder_pos_conv_groups=16, encoder_num_layers=4,
                  encoder_num_heads=4, encoder_attention_dropout=0.1, encoder_ff_interm_features=512, encoder_ff_interm_dropout=0.1, encoder_dropout=0.1, encoder_layer_drop=0.1, aux_num_out=None)
    for mode, first in itertools.product(("group_norm", "layer_norm"), (False, True)):
        choice = dict(extractor_mode=mode, encoder_layer_norm_first=first)
        yield label("wav2vec2_model", choice), lambda choice=choice: models.wav2vec2_model(**speech, **choice)
        yield label("wavlm_model", choice), lambda choice=choice: models.wavlm_model(**speech, **choice, encoder_num_buckets=320, encoder_max_distance=800)
    yield "squim_objective_base", models.squim_objective_base
    yield from recipe("squim_objective_model", models.squim_objective_model, dict(feat_dim=256, win_len=64, d_model=256, nhead=4, hidden_dim=256, num_blocks=2, rnn_type="LSTM", chunk_size=71), dict(rnn_type="GRU"))
    yield "squim_subjective_base", models.squim_subjective_base
    yield "emformer_rnnt_base", lambda: models.emformer_rnnt_base(num_symbols=4097)
    rnnt = dict(input_dim=80, encoding_dim=512, num_symbols=100, segment_length=16, right_context_length=4, time_reduction_input_dim=128, time_reduction_stride=4, transformer_num_heads=4, transformer_ffn_dim=512,
                transformer_num_layers=3, transformer_dropout=0.1, transformer_activation="gelu", transformer_left_context_length=30, transformer_max_memory_size=0, transformer_weight_init_scale_strategy="depthwise",
                transformer_tanh_on_mem=True, symbol_embedding_dim=256, num_lstm_layers=2, lstm_layer_norm=True, lstm_layer_norm_epsilon=1e-3, lstm_dropout=0.3)
    yield from recipe("emformer_rnnt_model", models.emformer_rnnt_model if hasattr(models, "emformer_rnnt_model") else models.rnnt.emformer_rnnt_model, rnnt, dict(lstm_layer_norm=False))


def torch():
    for first, bias, final in itertools.product((False, True), repeat=3):
        size = dict(d_model=64, nhead=4, dim_feedforward=128, norm_first=first, bias=bias)
        norm = lambda final=final, bias=bias: nn.LayerNorm(64, bias=bias) if final else None
        name = f"norm_first-{text(first)}__bias-{text(bias)}__final-{text(final)}"
        yield f"TransformerEncoder__{name}", lambda size=size, norm=norm: nn.TransformerEncoder(nn.TransformerEncoderLayer(**size), 3, norm())
        yield f"TransformerDecoder__{name}", lambda size=size, norm=norm: nn.TransformerDecoder(nn.TransformerDecoderLayer(**size), 3, norm())
        stack = lambda size=size, norm=norm: dict(custom_encoder=nn.TransformerEncoder(nn.TransformerEncoderLayer(**size), 3, norm()), custom_decoder=nn.TransformerDecoder(nn.TransformerDecoderLayer(**size), 3, norm()))
        custom = {} if final else stack  # the default stacks end with a norm
        yield f"Transformer__{name}", lambda size=size, custom=custom: nn.Transformer(**size, num_encoder_layers=3, num_decoder_layers=3, **(custom() if callable(custom) else custom))


LIBRARIES = [vitpytorch, xtransformers, monai, audio_sep, torch_geometric, segment_anything, torchaudio, torch]
