#!/usr/bin/env python3
"""Train the two sample checkpoints: the same small decoder once with LayerNorm, once with RMSNorm.

    python3 samples/train.py                 train both and write samples/layernorm and samples/rmsnorm
    python3 samples/train.py --only rmsnorm  train one of them
    python3 samples/train.py --check         train nothing: load the saved files, print losses and writer energies, and fail
                                             if a block writer of the LayerNorm model has a writer energy of 0.6 or more

Needs PyTorch 1.13 or later and nothing else (on Debian: apt install python3-torch libopenblas0).

Both are byte-level language models (a token is a byte, vocabulary 256) of the licence texts that every Debian machine has in
/usr/share/common-licenses. They see the same windows of text in the same order.

    layernorm/  GPT-2 layout: learned positions, LayerNorm with shift, biases, GELU;  read by GPT2LMHeadModel.from_pretrained
    rmsnorm/    Llama layout: rotary positions, RMSNorm, no bias, SwiGLU;             read by LlamaForCausalLM.from_pretrained

A model here is a dict {name in the checkpoint: tensor}; the two forward passes below read it by those names.

Dimensions: B sequences in a batch, T tokens in a sequence, D width of the residual stream, H heads, E = D/H, F width of the MLP,
V vocabulary.
"""
import argparse
import hashlib
import json
import math
import os
import random
import struct
import sys
import time

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT_FOLDER = "/usr/share/common-licenses"
TEXT_SHA256 = "e702fc128a22ec5f42b88d701ba068de1515b336f5af4e0d6e144a3795587db2"  # of the training text of the committed files

VOCAB, CONTEXT, WIDTH, HEADS, BLOCKS = 256, 128, 128, 4, 4
MLP_WIDTH = {"layernorm": 512, "rmsnorm": 352}  # two matrices against three: about the same number of parameters
INITIALIZER_RANGE = 0.02
NORM_EPS = 1e-5
ROPE_THETA = 10000.0
HELD_OUT = 0.1  # the share at the end of each text that is not used for training
HIGHEST_WRITER_ENERGY = 0.6  # the samples promise that every block writer of the LayerNorm model is below


# ---------------------------------------------------------------------------------------------------------------- text

def read_text():
    """(train, held-out) token ids, both uint8, and the SHA-256 of the whole text.

    Files in order of name; links (GPL -> GPL-3) are left out. The texts quote each other, so the end of *each* is held out.
    """
    train, held_out, whole = bytearray(), bytearray(), hashlib.sha256()
    for name in sorted(os.listdir(TEXT_FOLDER)):
        path = os.path.join(TEXT_FOLDER, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            text = file.read()
        whole.update(text)
        cut = len(text) - int(len(text) * HELD_OUT)
        train += text[:cut]
        held_out += text[cut:]
    return torch.tensor(list(train), dtype=torch.uint8), torch.tensor(list(held_out), dtype=torch.uint8), whole.hexdigest()


def windows(text, starts):
    """Windows of CONTEXT + 1 bytes: (inputs, targets), both [B, T]; the targets are the next bytes."""
    w = torch.stack([text[s : s + CONTEXT + 1] for s in starts]).long()
    return w[:, :-1], w[:, 1:]


# -------------------------------------------------------------------------------------------------------------- models

def norm(x, scale, shift=None, subtract_mean=False):
    """LayerNorm (subtract_mean) or RMSNorm of the residual stream x [B, T, D]; scale and shift [D]."""
    if subtract_mean:
        x = x - x.mean(-1, keepdim=True)
    x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + NORM_EPS) * scale
    return x if shift is None else x + shift


def heads(x):
    """[B, T, D] -> [B, H, T, E]"""
    b, t, _ = x.shape
    return x.view(b, t, HEADS, WIDTH // HEADS).transpose(1, 2)


def causal_attention(q, k, v):
    """q, k, v [B, H, T, E] -> [B, T, D]"""
    b, _, t, e = q.shape
    scores = q @ k.transpose(-1, -2) / math.sqrt(e)  # [B, H, T, T]
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    return (scores.masked_fill(future, float("-inf")).softmax(-1) @ v).transpose(1, 2).reshape(b, t, WIDTH)


def rotate(x):
    """Rotary positions on x [B, H, T, E], for pairs (i, i + E/2): the half-split convention of the Llama layout."""
    t, e = x.shape[-2:]
    frequency = ROPE_THETA ** (-torch.arange(0, e, 2, dtype=torch.float32) / e)  # [E/2]
    angle = torch.outer(torch.arange(t, dtype=torch.float32), frequency)  # [T, E/2]
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x[..., : e // 2], x[..., e // 2 :]
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)


def layernorm_logits(w, ids):
    """GPT-2. w: name -> tensor, ids [B, T] -> logits [B, T, V]. Matrices are stored [in, out] (Conv1D)."""
    def layer_norm(name, x):
        return norm(x, w[name + ".weight"], w[name + ".bias"], subtract_mean=True)

    def linear(name, x):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    stream = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][: ids.shape[1]]  # residual stream [B, T, D]
    for n in range(BLOCKS):
        block = f"transformer.h.{n}."
        q, k, v = linear(block + "attn.c_attn", layer_norm(block + "ln_1", stream)).split(WIDTH, -1)
        stream = stream + linear(block + "attn.c_proj", causal_attention(heads(q), heads(k), heads(v)))
        hidden = F.gelu(linear(block + "mlp.c_fc", layer_norm(block + "ln_2", stream)), approximate="tanh")  # [B, T, F]
        stream = stream + linear(block + "mlp.c_proj", hidden)
    return layer_norm("transformer.ln_f", stream) @ w["transformer.wte.weight"].t()


def rmsnorm_logits(w, ids):
    """Llama. w: name -> tensor, ids [B, T] -> logits [B, T, V]. Matrices are stored [out, in]."""
    def linear(name, x):
        return x @ w[name + ".weight"].t()

    stream = w["model.embed_tokens.weight"][ids]  # residual stream [B, T, D]
    for n in range(BLOCKS):
        block = f"model.layers.{n}."
        y = norm(stream, w[block + "input_layernorm.weight"])
        q, k, v = (heads(linear(block + f"self_attn.{p}_proj", y)) for p in "qkv")
        stream = stream + linear(block + "self_attn.o_proj", causal_attention(rotate(q), rotate(k), v))
        y = norm(stream, w[block + "post_attention_layernorm.weight"])
        hidden = F.silu(linear(block + "mlp.gate_proj", y)) * linear(block + "mlp.up_proj", y)  # [B, T, F]
        stream = stream + linear(block + "mlp.down_proj", hidden)
    return norm(stream, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].t()


LOGITS = {"layernorm": layernorm_logits, "rmsnorm": rmsnorm_logits}


def shapes(kind):
    """{name in the checkpoint: shape}. The unembedding is tied to the embedding and not stored."""
    d, f = WIDTH, MLP_WIDTH[kind]
    if kind == "layernorm":
        s = {"transformer.wte.weight": (VOCAB, d), "transformer.wpe.weight": (CONTEXT, d)}
        for n in range(BLOCKS):
            block = f"transformer.h.{n}."
            s.update({block + name: shape for name, shape in {
                "ln_1.weight": (d,), "ln_1.bias": (d,),
                "attn.c_attn.weight": (d, 3 * d), "attn.c_attn.bias": (3 * d,),
                "attn.c_proj.weight": (d, d), "attn.c_proj.bias": (d,),
                "ln_2.weight": (d,), "ln_2.bias": (d,),
                "mlp.c_fc.weight": (d, f), "mlp.c_fc.bias": (f,),
                "mlp.c_proj.weight": (f, d), "mlp.c_proj.bias": (d,),
            }.items()})
        s.update({"transformer.ln_f.weight": (d,), "transformer.ln_f.bias": (d,)})
    else:
        s = {"model.embed_tokens.weight": (VOCAB, d)}
        for n in range(BLOCKS):
            block = f"model.layers.{n}."
            s.update({block + name: shape for name, shape in {
                "input_layernorm.weight": (d,),
                "self_attn.q_proj.weight": (d, d), "self_attn.k_proj.weight": (d, d),
                "self_attn.v_proj.weight": (d, d), "self_attn.o_proj.weight": (d, d),
                "post_attention_layernorm.weight": (d,),
                "mlp.gate_proj.weight": (f, d), "mlp.up_proj.weight": (f, d), "mlp.down_proj.weight": (d, f),
            }.items()})
        s["model.norm.weight"] = (d,)
    return s


def config(kind):
    """config.json as the transformers library reads it."""
    common = {"vocab_size": VOCAB, "initializer_range": INITIALIZER_RANGE, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
              "bos_token_id": None, "eos_token_id": None, "use_cache": True}
    if kind == "layernorm":
        return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_positions": CONTEXT, "n_ctx": CONTEXT,
                "n_embd": WIDTH, "n_layer": BLOCKS, "n_head": HEADS, "n_inner": MLP_WIDTH[kind],
                "activation_function": "gelu_new", "layer_norm_epsilon": NORM_EPS,
                "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, **common}
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": CONTEXT,
            "hidden_size": WIDTH, "intermediate_size": MLP_WIDTH[kind], "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": WIDTH // HEADS,
            "hidden_act": "silu", "rms_norm_eps": NORM_EPS, "rope_theta": ROPE_THETA, "rope_scaling": None,
            "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0, **common}


# ------------------------------------------------------------------------------------------------------ writer energy

BLOCK_WRITERS = ("attn.c_proj.weight", "mlp.c_proj.weight", "self_attn.o_proj.weight", "mlp.down_proj.weight")
TOKEN_EMBEDDINGS = ("wte.weight", "embed_tokens.weight")
EMBEDDINGS = TOKEN_EMBEDDINGS + ("wpe.weight",)


def as_writer(name, tensor):
    """The writer U [D, k], whose columns are added to the residual stream, from either way of storing it."""
    stored_input_first = name.endswith(("c_proj.weight",) + EMBEDDINGS)  # Conv1D [in, out]; embedding rows [V, D]
    return tensor.t() if stored_input_first else tensor


def writer_energy(u):
    """||1'U||^2 / ||U||_F^2 of a writer U [D, k]: about 1 if no output direction is preferred, 0 if every column sums to 0."""
    u = u.double()
    return float((u.sum(0) ** 2).sum() / (u ** 2).sum())


def writer_energies(w, names):
    """{name: writer energy} of the tensors of w whose name ends with one of names."""
    return {n: writer_energy(as_writer(n, t.detach())) for n, t in w.items() if n.endswith(names)}


# ---------------------------------------------------------------------------------------------------------- checkpoint

def save(folder, w, config):
    """Write the folder: config.json and model.safetensors, with every tensor in BF16, sorted by name, without holes."""
    os.makedirs(folder, exist_ok=True)
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name in sorted(w):
        raw = bytearray(2 * w[name].numel())
        torch.frombuffer(raw, dtype=torch.bfloat16).copy_(w[name].detach().flatten())
        header[name] = {"dtype": "BF16", "shape": list(w[name].shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load(folder, shapes):
    """The saved weights of these shapes, name -> F32 tensor."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = bytearray(file.read())
    w = {}
    for name, shape in shapes.items():
        begin, end = header[name]["data_offsets"]
        assert header[name]["dtype"] == "BF16" and tuple(header[name]["shape"]) == shape, name
        w[name] = torch.frombuffer(data, dtype=torch.bfloat16, offset=begin, count=(end - begin) // 2).float().view(shape)
    return w


# ------------------------------------------------------------------------------------------------------------ training

@torch.no_grad()
def mean_loss(kind, w, text, spacing=CONTEXT):
    """Next-byte loss in nats per byte, over a window of text at every multiple of spacing."""
    starts = range(0, len(text) - CONTEXT, spacing)
    total, tokens = 0.0, 0
    for first in range(0, len(starts), 32):
        ids, targets = windows(text, starts[first : first + 32])
        logits = LOGITS[kind](w, ids)
        total += float(F.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1), reduction="sum"))
        tokens += targets.numel()
    return total / tokens


def losses(kind, w, train_text, held_out_text):
    """(train, held-out): every ninth window of the training text, all of the held-out text: the same number of windows."""
    return mean_loss(kind, w, train_text, spacing=9 * CONTEXT), mean_loss(kind, w, held_out_text)


def initial_weights(shapes, seed):
    """Matrices N(0, INITIALIZER_RANGE), scales 1, shifts and biases 0."""
    torch.manual_seed(seed)
    w = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            w[name] = torch.randn(shape) * INITIALIZER_RANGE
        else:
            w[name] = torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
        w[name].requires_grad_()
    return w


def learning_rate(step, o):
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    if step < o.warm_up:
        return o.lr * (step + 1) / o.warm_up
    progress = (step - o.warm_up) / max(1, o.steps - o.warm_up)
    return o.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def optimizer_of(w, o):
    """AdamW, with weight decay on matrices alone."""
    matrices = [t for t in w.values() if t.dim() > 1]
    vectors = [t for t in w.values() if t.dim() == 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": o.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
                             lr=o.lr, betas=(0.9, 0.98), eps=1e-8)


def update(optimizer, w, loss, step, o):
    """One step down the gradient of the loss."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, o)
    optimizer.step()


def train(kind, train_text, held_out_text, o):
    """Train, print one row of the loss curve each o.every steps, save."""
    w = initial_weights(shapes(kind), o.seed)
    optimizer = optimizer_of(w, o)
    order = random.Random(o.seed)  # the same windows for both models
    began = time.time()
    print(f"\n{kind}: {sum(t.numel() for t in w.values()):,} parameters, {o.steps} steps of {o.batch} x {CONTEXT} tokens\n")
    print("| step | train loss | held-out loss | writer energy of the block writers, lowest .. highest | seconds |")
    print("|---:|---:|---:|---:|---:|")
    for step in range(o.steps + 1):
        if step % o.every == 0 or step == o.steps:
            e = writer_energies(w, BLOCK_WRITERS).values()
            trained, held_out = losses(kind, w, train_text, held_out_text)
            print(f"| {step} | {trained:.3f} | {held_out:.3f} | {min(e):.2f} .. {max(e):.2f} | {time.time() - began:.0f} |",
                  flush=True)
        if step == o.steps:
            break
        ids, targets = windows(train_text, [order.randrange(len(train_text) - CONTEXT) for _ in range(o.batch)])
        update(optimizer, w, F.cross_entropy(LOGITS[kind](w, ids).reshape(-1, VOCAB), targets.reshape(-1)), step, o)
    print(f"\nbefore rounding to BF16: train {trained:.4f}, held-out {held_out:.4f} nats per byte")
    save(os.path.join(HERE, kind), w, config(kind))


def check(kind, train_text, held_out_text):
    """Print the losses and writer energies of the saved files. False if a LayerNorm block writer is not below HIGHEST_WRITER_ENERGY."""
    w = load(os.path.join(HERE, kind), shapes(kind))
    size = os.path.getsize(os.path.join(HERE, kind, "model.safetensors"))
    print(f"\n{kind}: {sum(t.numel() for t in w.values()):,} parameters, model.safetensors {size:,} bytes")
    trained, held_out = losses(kind, w, train_text, held_out_text)
    print(f"loss of the saved BF16 weights: train {trained:.4f}, held-out {held_out:.4f} nats per byte")
    energies = writer_energies(w, BLOCK_WRITERS)
    for name, energy in {**energies, **writer_energies(w, EMBEDDINGS)}.items():
        print(f"  writer energy {energy:.3f}  {name}")
    occurs = torch.zeros(VOCAB, dtype=torch.bool)
    occurs[train_text.long()] = True
    for name in w:
        if name.endswith(TOKEN_EMBEDDINGS):
            for rows, which in ((occurs, "that occur in the text"), (~occurs, "that never occur")):
                energy = writer_energy(as_writer(name, w[name][rows]))
                print(f"  writer energy {energy:.3f}  {name}, the {int(rows.sum())} rows of bytes {which}")
    for name, tensor in w.items():
        if tensor.dim() == 1 and not name.endswith("bias"):
            print(f"  scale {tensor.min():.4f} .. {tensor.max():.4f}, {tensor.unique().numel()} distinct values  {name}")
    return kind != "layernorm" or max(energies.values()) < HIGHEST_WRITER_ENERGY


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="train nothing: load the saved files and measure them again")
    p.add_argument("--only", choices=sorted(LOGITS), help="one of the two models")
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--batch", type=int, default=16, help="sequences in a batch")
    p.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate")
    p.add_argument("--warm-up", type=int, default=100, help="steps of linear warm-up")
    p.add_argument("--weight-decay", type=float, default=0.1, help="of the matrices; scales, shifts and biases have none")
    p.add_argument("--every", type=int, default=150, help="steps between two rows of the loss curve")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    train_text, held_out_text, sha256 = read_text()
    print(f"text: {len(train_text):,} bytes to train on, {len(held_out_text):,} held out, SHA-256 {sha256}")
    if sha256 != TEXT_SHA256:
        print("note: not the text the committed samples were trained on; losses will differ a little")
    kinds = [o.only] if o.only else sorted(LOGITS)
    if not o.check:
        for kind in kinds:
            train(kind, train_text, held_out_text, o)
    passed = [check(kind, train_text, held_out_text) for kind in kinds]
    if not all(passed):
        sys.exit(f"a block writer of the LayerNorm model has a writer energy of {HIGHEST_WRITER_ENERGY} or more: train longer")


if __name__ == "__main__":
    main()
