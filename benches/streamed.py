"""Models of one and of eight billion random weights (the shapes of Llama 3), streamed from this machine's disk to its GPU, compared with PyTorch.

    python3 benches/streamed.py EXAMPLE FOLDER [MODEL ...]

EXAMPLE is the compiled example `streamed`. Checkpoints of 2.5 GB and 16 GB are written under FOLDER. It prints the speed of a product of
large f32 matrices on this GPU, then for each model the tokens per second and the share of that speed. PyTorch has the same weights, in
f32, without TF32: once from the file, as we do, and once from the GPU's memory.
"""
import json
import os
import subprocess
import sys
import time

import torch
from safetensors.torch import save_file

from torch_model import Llama, uniform

LENGTH = 128
#        width, blocks, heads, key heads, hidden, sequences
MODELS = {"1b": (2048, 16, 32, 8, 8192, 64), "8b": (4096, 32, 32, 8, 14336, 128)}
VOCABULARY = 128_256


def write(folder, width, blocks, heads, key_heads, hidden):
    os.makedirs(folder, exist_ok=True)
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "intermediate_size": hidden,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0,
        "hidden_act": "silu",
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    keys = key_heads * width // heads
    shapes = {"model.embed_tokens": (VOCABULARY, width), "model.norm": (width,)}
    for layer in range(blocks):
        name = f"model.layers.{layer}"
        shapes |= {f"{name}.{norm}": (width,) for norm in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{name}.self_attn.{part}_proj": (width, width) for part in "qo"}
        shapes |= {f"{name}.self_attn.{part}_proj": (keys, width) for part in "kv"}
        shapes |= {f"{name}.mlp.{part}_proj": (hidden, width) for part in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj"] = (width, hidden)

    def values(shape):
        drawn = torch.randn(shape, device="cuda")
        return (drawn * 0.02 if len(shape) == 2 else 1 + 0.1 * drawn).bfloat16().cpu()

    save_file({f"{name}.weight": values(shape) for name, shape in shapes.items()}, f"{folder}/model.safetensors")


def timed(run):
    torch.cuda.synchronize()
    began = time.perf_counter()
    result = run()
    torch.cuda.synchronize()
    return time.perf_counter() - began, result


def peak(side=8192):
    """Operations a second of a product of f32 matrices."""
    a, b = torch.randn(side, side, device="cuda"), torch.randn(side, side, device="cuda")
    a @ b
    return max(2 * side**3 / timed(lambda: a @ b)[0] for _ in range(5))


def in_torch(folder, ids):
    """Seconds from the file, seconds from memory, a few values. Sequences are run in groups, or PyTorch runs out of memory."""

    def run(model):
        return torch.cat([model(group)[..., :4].clone() for group in ids.split(16)])

    def both():
        model = Llama(folder)
        return model, run(model)

    both()  # fills the cache, and warms up
    torch.cuda.empty_cache()
    from_file, (model, hidden) = timed(both)
    from_memory = min(timed(lambda: run(model))[0] for _ in range(3))
    return from_file, from_memory, hidden.reshape(-1)[:4].tolist()


def main(example, root, *names):
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    best = peak()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}: {best / 1e12:.1f} TFLOP/s in f32", flush=True)
    for name in names or MODELS:
        *shape, sequences = MODELS[name]
        folder = f"{root}/llama-{name}"
        if not os.path.exists(f"{folder}/model.safetensors"):
            print(f"writing {folder}: {timed(lambda: write(folder, *shape))[0]:.0f} s", flush=True)
        torch.cuda.empty_cache()  # the example wants the GPU's memory too
        ours = json.loads(subprocess.run([example, folder, str(sequences)], check=True, capture_output=True, text=True).stdout)
        tokens, seconds = ours["tokens"], ours["seconds"]
        rate = ours["operations"] / seconds
        print(f"llama-{name}, {tokens} tokens, {ours['bytes'] / 1e9:.1f} GB, on {ours['device']}:")
        print(f"  ours, from the file        {seconds:6.2f} s  {tokens / seconds:7.0f} tokens/s  {rate / 1e12:5.1f} TFLOP/s  {rate / best:.0%} of PyTorch's product")
        torch.set_default_device("cuda")
        ids = torch.tensor(uniform(tokens, VOCABULARY), dtype=torch.int32).view(sequences, LENGTH)
        with torch.no_grad():
            from_file, from_memory, values = in_torch(folder, ids)
        torch.set_default_device("cpu")
        for what, time_taken in ("from the file", from_file), ("from the GPU's memory", from_memory):
            print(f"  PyTorch, {what:22} {time_taken:6.2f} s  {tokens / time_taken:7.0f} tokens/s  {seconds / time_taken:5.2f} × as long do we take", flush=True)
        off = max(abs(a - b) for a, b in zip(ours["values"], values))
        if off > 1e-3 * max(map(abs, values)):
            sys.exit(f"PyTorch computes something else: {values} for {ours['values']}")


main(*sys.argv[1:])
