#!/usr/bin/env python3
"""Train the two vision samples: the same small vision transformer once with LayerNorm, once with RMSNorm.

    python3 samples/train_vision.py                     train both, write samples/vit-layernorm and samples/vit-rmsnorm
    python3 samples/train_vision.py --only vit-rmsnorm  train one of them
    python3 samples/train_vision.py --check             train nothing: load the saved files, print accuracies and writer energies, and
                                                        fail if a model names fewer than 90% of the held-out images rightly

Needs PyTorch 1.13 or later and nothing else (on Debian: apt install python3-torch libopenblas0).

Both name the shape in an image of 40 × 40 pixels. The images are drawn here, from a seed, so nothing is downloaded. Both models see
the same images in the same order.

    vit-layernorm/  ViT layout: class token, learned positions, LayerNorm with shift, biases, GELU
                    read by ViTForImageClassification.from_pretrained
    vit-rmsnorm/    AIMv2 layout: learned positions, RMSNorm, no bias in the blocks, SwiGLU
                    read by Aimv2VisionModel.from_pretrained, which leaves out `classifier`, a map from the mean of the tokens to the classes

Beside the weights, each folder gets the same images, one of each shape, to run the model on.

Dimensions as in train.py, with B images in a batch, T tokens in an image, P pixels on a side.
"""
import argparse
import json
import math
import os
import struct
import sys
import time
import zlib

import torch
import torch.nn.functional as F

from train import (BLOCKS, HEADS, HERE, INITIALIZER_RANGE, NORM_EPS, WIDTH, heads, initial_weights, load, norm, optimizer_of, save, update,
                   writer_energies)

PIXELS, PATCH, CHANNELS = 40, 5, 3
PATCHES = (PIXELS // PATCH) ** 2
MLP_WIDTH = {"vit-layernorm": 512, "vit-rmsnorm": 352}  # two matrices against three: about the same number of parameters
SHAPES = ("circle", "ring", "square", "frame", "triangle", "cross", "stripes", "checks")
BLOCK_WRITERS = ("attention.output.dense.weight", "output.dense.weight", "attention.out_proj.weight", "ffn.down_proj.weight")
HELD_OUT, HELD_OUT_SEED, SAMPLE_SEED = 1024, 1_000_001, 1_000_002  # training has the seed of the options
LOWEST_ACCURACY = 0.9  # what the samples promise on held-out images


# -------------------------------------------------------------------------------------------------------------- images

def shape_masks(u, v):
    """Which points belong to each of SHAPES: u and v are coordinates of the shape, [B, S, S] -> [B, 8, S, S]."""
    radius, side = (u * u + v * v).sqrt(), torch.maximum(u.abs(), v.abs())
    edges = torch.stack([math.cos(a) * u + math.sin(a) * v for a in (math.pi / 2, math.pi * 7 / 6, math.pi * 11 / 6)])
    return torch.stack([
        radius < 0.9,
        (radius > 0.55) & (radius < 0.95),
        side < 0.8,
        (side > 0.45) & (side < 0.85),
        edges.amax(0) < 0.5,
        (torch.minimum(u.abs(), v.abs()) < 0.25) & (side < 0.95),
        (side < 0.85) & ((2 * math.pi * 1.2 * u).cos() > 0),
        (side < 0.84) & ((math.pi / 0.42 * u).sin() * (math.pi / 0.42 * v).sin() > 0),
    ], 1)


def draw(random, labels):
    """One image of each label, [B, 3, P, P] of bytes: place, size, angle, both colours, a shading and noise are random."""
    b, fine = len(labels), 2 * PIXELS  # drawn at twice the size, for smooth edges

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(b, *shape, generator=random)

    at = (torch.arange(fine) + 0.5) / PIXELS - 1  # -1 .. 1
    y, x = at.view(1, fine, 1), at.view(1, 1, fine)
    size, angle = uniform(0.5, 0.75, 1, 1), uniform(-0.35, 0.35, 1, 1)
    dx, dy = (x - uniform(-0.2, 0.2, 1, 1)) / size, (y - uniform(-0.2, 0.2, 1, 1)) / size
    masks = shape_masks(angle.cos() * dx + angle.sin() * dy, angle.cos() * dy - angle.sin() * dx)
    mask = masks[torch.arange(b), labels].float()
    cover = F.avg_pool2d(mask[:, None], 2)  # [B, 1, P, P]
    ground = uniform(0.05, 0.45, CHANNELS, 1, 1)
    colour = ground + uniform(0.3, 0.55, CHANNELS, 1, 1)  # brighter than the background
    steepness, towards = uniform(0, 0.2, 1, 1), uniform(0, 2 * math.pi, 1, 1)
    shading = F.avg_pool2d((steepness * (towards.cos() * x + towards.sin() * y))[:, None], 2)
    noise = uniform(0, 0.08, 1, 1, 1) * torch.randn(b, CHANNELS, PIXELS, PIXELS, generator=random)
    image = ground + cover * (colour - ground) + shading + noise
    return (255 * image.clamp(0, 1)).round().to(torch.uint8)


def batch(random, count):
    """(pixels as the models read them, [B, 3, P, P] in -1 .. 1; labels [B])."""
    labels = torch.randint(len(SHAPES), (count,), generator=random)
    return prepared(draw(random, labels)), labels


def prepared(images):
    """What the preprocessor_config.json of the samples says."""
    return images.float() / 127.5 - 1


def png(image):
    """A PNG file of an image, [3, P, P] of bytes."""
    rows = bytearray()
    for row in image.permute(1, 2, 0).flatten(1).tolist():
        rows += b"\0" + bytes(row)  # unfiltered

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 2, 0, 0, 0)  # eight bits, RGB
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + chunk(b"IEND", b"")


# -------------------------------------------------------------------------------------------------------------- models

def attention(q, k, v):
    """Every token sees every other: q, k, v [B, H, T, E] -> [B, T, D]"""
    b, _, t, e = q.shape
    return ((q @ k.transpose(-1, -2) / math.sqrt(e)).softmax(-1) @ v).transpose(1, 2).reshape(b, t, WIDTH)


def patches(w, name, pixels):
    """[B, 3, P, P] -> [B, patches, D], row by row."""
    return F.conv2d(pixels, w[name + ".weight"], w[name + ".bias"], stride=PATCH).flatten(2).transpose(1, 2)


def layernorm_logits(w, pixels):
    """ViT. w: name -> tensor, pixels [B, 3, P, P] -> logits [B, classes], of the class token."""
    def layer_norm(name, x):
        return norm(x, w[name + ".weight"], w[name + ".bias"], subtract_mean=True)

    def linear(name, x):
        return x @ w[name + ".weight"].t() + w[name + ".bias"]

    tokens = patches(w, "vit.embeddings.patch_embeddings.projection", pixels)
    stream = torch.cat([w["vit.embeddings.cls_token"].expand(len(tokens), -1, -1), tokens], 1) + w["vit.embeddings.position_embeddings"]
    for n in range(BLOCKS):
        block = f"vit.encoder.layer.{n}."
        y = layer_norm(block + "layernorm_before", stream)
        q, k, v = (heads(linear(block + "attention.attention." + p, y)) for p in ("query", "key", "value"))
        stream = stream + linear(block + "attention.output.dense", attention(q, k, v))
        hidden = F.gelu(linear(block + "intermediate.dense", layer_norm(block + "layernorm_after", stream)))  # [B, T, F]
        stream = stream + linear(block + "output.dense", hidden)
    return linear("classifier", layer_norm("vit.layernorm", stream)[:, 0])


def rmsnorm_logits(w, pixels):
    """AIMv2. w: name -> tensor, pixels [B, 3, P, P] -> logits [B, classes], of the mean of the tokens."""
    def linear(name, x):
        return x @ w[name + ".weight"].t()

    tokens = norm(patches(w, "embeddings.patch_embed", pixels), w["embeddings.rms_norm.weight"])
    stream = tokens + w["embeddings.position_embedding.weight"]
    for n in range(BLOCKS):
        block = f"encoder.layers.{n}."
        y = norm(stream, w[block + "rms_norm1.weight"])
        q, k, v = (heads(linear(block + f"attention.{p}_proj", y)) for p in "qkv")
        stream = stream + linear(block + "attention.out_proj", attention(q, k, v))
        y = norm(stream, w[block + "rms_norm2.weight"])
        hidden = F.silu(linear(block + "ffn.gate_proj", y)) * linear(block + "ffn.up_proj", y)  # [B, T, F]
        stream = stream + linear(block + "ffn.down_proj", hidden)
    return linear("classifier", norm(stream, w["rms_norm.weight"]).mean(1)) + w["classifier.bias"]


LOGITS = {"vit-layernorm": layernorm_logits, "vit-rmsnorm": rmsnorm_logits}


def shapes(kind):
    """{name in the checkpoint: shape}."""
    d, f, s = WIDTH, MLP_WIDTH[kind], {}

    def linear(name, outputs, inputs, bias):
        s[name + ".weight"] = (outputs, inputs)
        if bias:
            s[name + ".bias"] = (outputs,)

    def layer_norm(name):
        s[name + ".weight"] = s[name + ".bias"] = (d,)

    if kind == "vit-layernorm":
        s["vit.embeddings.cls_token"] = (1, 1, d)
        s["vit.embeddings.position_embeddings"] = (1, 1 + PATCHES, d)
        projection = "vit.embeddings.patch_embeddings.projection"
        for n in range(BLOCKS):
            block = f"vit.encoder.layer.{n}."
            for p in ("attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense"):
                linear(block + p, d, d, True)
            linear(block + "intermediate.dense", f, d, True)
            linear(block + "output.dense", d, f, True)
            layer_norm(block + "layernorm_before")
            layer_norm(block + "layernorm_after")
        layer_norm("vit.layernorm")
    else:
        s["embeddings.position_embedding.weight"] = (PATCHES, d)
        s["embeddings.rms_norm.weight"] = (d,)
        projection = "embeddings.patch_embed"
        for n in range(BLOCKS):
            block = f"encoder.layers.{n}."
            for p in ("q_proj", "k_proj", "v_proj", "out_proj"):
                linear(block + "attention." + p, d, d, False)
            linear(block + "ffn.gate_proj", f, d, False)
            linear(block + "ffn.up_proj", f, d, False)
            linear(block + "ffn.down_proj", d, f, False)
            s[block + "rms_norm1.weight"] = s[block + "rms_norm2.weight"] = (d,)
        s["rms_norm.weight"] = (d,)
    s[projection + ".weight"], s[projection + ".bias"] = (d, CHANNELS, PATCH, PATCH), (d,)
    linear("classifier", len(SHAPES), d, True)
    return s


def config(kind):
    """config.json as the transformers library reads it."""
    labels = {str(n): name for n, name in enumerate(SHAPES)}
    common = {"hidden_size": WIDTH, "intermediate_size": MLP_WIDTH[kind], "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
              "image_size": PIXELS, "patch_size": PATCH, "num_channels": CHANNELS, "initializer_range": INITIALIZER_RANGE,
              "torch_dtype": "bfloat16", "id2label": labels, "label2id": {name: int(n) for n, name in labels.items()}}
    if kind == "vit-layernorm":
        return {"architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_act": "gelu", "layer_norm_eps": NORM_EPS,
                "qkv_bias": True, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **common}
    return {"architectures": ["Aimv2VisionModel"], "model_type": "aimv2_vision_model", "hidden_act": "silu", "rms_norm_eps": NORM_EPS,
            "qkv_bias": False, "mlp_bias": False, "use_head": False, "is_native": False, "attention_dropout": 0.0, **common}


PREPROCESSOR = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": PIXELS, "width": PIXELS}, "resample": 2,
                "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


# ------------------------------------------------------------------------------------------------------------ training

def generator(seed):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def held_out(kind, w):
    """(loss in nats, share of images that are named rightly), both on images that training does not see."""
    pixels, labels = batch(generator(HELD_OUT_SEED), HELD_OUT)
    logits = torch.cat([LOGITS[kind](w, part) for part in pixels.split(64)])
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(-1) == labels).float().mean())


def train(kind, o):
    """Train, print one row of the loss curve each o.every steps, save."""
    w = initial_weights(shapes(kind), o.seed)
    optimizer, random = optimizer_of(w, o), generator(o.seed)  # the same images for both models
    began, losses = time.time(), []
    print(f"\n{kind}: {sum(t.numel() for t in w.values()):,} parameters, {o.steps} steps of {o.batch} images\n")
    print("| step | train loss | held-out loss | held-out accuracy | writer energy of the block writers, lowest .. highest | seconds |")
    print("|---:|---:|---:|---:|---:|---:|")
    for step in range(o.steps + 1):
        if step % o.every == 0 or step == o.steps:
            e = writer_energies(w, BLOCK_WRITERS).values()
            loss, accuracy = held_out(kind, w)
            trained = f"{sum(losses) / len(losses):.3f}" if losses else ""
            losses = []
            print(f"| {step} | {trained} | {loss:.3f} | {accuracy:.1%} | {min(e):.2f} .. {max(e):.2f} | {time.time() - began:.0f} |",
                  flush=True)
        if step == o.steps:
            break
        pixels, labels = batch(random, o.batch)
        loss = F.cross_entropy(LOGITS[kind](w, pixels), labels)
        losses.append(loss.item())
        update(optimizer, w, loss, step, o)
    folder = os.path.join(HERE, kind)
    save(folder, w, config(kind))
    with open(os.path.join(folder, "preprocessor_config.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(PREPROCESSOR, indent=2, sort_keys=True) + "\n")
    for name, image in sample_images():
        with open(os.path.join(folder, f"{name}.png"), "wb") as file:
            file.write(png(image))


def sample_images():
    """[(shape, image)], one of each."""
    return list(zip(SHAPES, draw(generator(SAMPLE_SEED), torch.arange(len(SHAPES)))))


@torch.no_grad()
def check(kind):
    """Print what the saved files hold; False if too few held-out images are named rightly."""
    w = load(os.path.join(HERE, kind), shapes(kind))
    size = os.path.getsize(os.path.join(HERE, kind, "model.safetensors"))
    print(f"\n{kind}: {sum(t.numel() for t in w.values()):,} parameters, {len(w)} tensors, model.safetensors {size:,} bytes")
    loss, accuracy = held_out(kind, w)
    print(f"saved BF16 weights on {HELD_OUT} held-out images: loss {loss:.4f} nats, accuracy {accuracy:.2%}")
    named = LOGITS[kind](w, prepared(torch.stack([image for _, image in sample_images()]))).argmax(-1)
    print("its own images: " + ", ".join(f"{name} is {SHAPES[n]}" for name, n in zip(SHAPES, named)))
    for name, energy in writer_energies(w, BLOCK_WRITERS).items():
        print(f"  writer energy {energy:.3f}  {name}")
    for name, tensor in w.items():
        if tensor.dim() == 1 and not name.endswith("bias"):
            print(f"  scale {tensor.min():.4f} .. {tensor.max():.4f}, {tensor.unique().numel()} distinct values  {name}")
    return accuracy >= LOWEST_ACCURACY


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="train nothing: load the saved files and measure them again")
    p.add_argument("--only", choices=sorted(LOGITS), help="one of the two models")
    p.add_argument("--steps", type=int, default=1200)
    p.add_argument("--batch", type=int, default=16, help="images in a batch")
    p.add_argument("--lr", type=float, default=1e-3, help="peak learning rate")
    p.add_argument("--warm-up", type=int, default=100, help="steps of linear warm-up")
    p.add_argument("--weight-decay", type=float, default=0.1, help="of the matrices; scales, shifts and biases have none")
    p.add_argument("--every", type=int, default=200, help="steps between two rows of the loss curve")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1, help="CPU threads (default: one)")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    kinds = [o.only] if o.only else sorted(LOGITS)
    if not o.check:
        for kind in kinds:
            train(kind, o)
    passed = [check(kind) for kind in kinds]
    if not all(passed):
        sys.exit(f"a model names fewer than {LOWEST_ACCURACY:.0%} of the held-out images rightly: train longer")


if __name__ == "__main__":
    main()
