"""The two models of the race, BERT's and Llama's shape, in plain torch: as an ONNX graph, or timed.

    torch_model.py export FOLDER OUT.onnx     ids (sequences x tokens, int32) -> last hidden states, after the final norm
    torch_model.py time FOLDER SEQUENCES TOKENS

Weights are those of FOLDER (config.json, model.safetensors), in f32. `time` prints {"seconds", "version", "values", "vocabulary"}: the least of
three runs after one, and a few of the hidden states, which show that the peers compute the same.
"""
import json
import sys
import time

import torch
from safetensors.torch import load_file
from torch.nn.functional import gelu, layer_norm, linear, silu


def heads(x, count):
    n, t, _ = x.shape
    return x.view(n, t, count, -1).transpose(1, 2)


def attend(q, k, v, mask):
    scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
    mixed = torch.softmax(scores if mask is None else scores + mask, dim=-1) @ v
    n, _, t, _ = mixed.shape
    return mixed.transpose(1, 2).reshape(n, t, -1)


class Model(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        with open(f"{folder}/config.json", encoding="utf-8") as file:
            self.config = json.load(file)
        device = str(torch.get_default_device())
        weights = load_file(f"{folder}/model.safetensors", device=device)
        self.weights = {name: tensor.float() for name, tensor in weights.items()}
        table = next(tensor for name, tensor in self.weights.items() if name.endswith(("word_embeddings.weight", "embed_tokens.weight")))
        self.vocabulary = table.shape[0]

    def linear(self, x, name):
        return linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))


class Bert(Model):
    def norm(self, x, name):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, weight.shape, weight, bias, self.config["layer_norm_eps"])

    def forward(self, ids):
        w = self.weights
        positions = w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        segment = w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(w["embeddings.word_embeddings.weight"][ids.long()] + positions + segment, "embeddings.LayerNorm")
        count = self.config["num_attention_heads"]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            q, k, v = (heads(self.linear(x, f"{name}.attention.self.{part}"), count) for part in ("query", "key", "value"))
            x = self.norm(x + self.linear(attend(q, k, v, None), f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
            hidden = gelu(self.linear(x, f"{name}.intermediate.dense"))
            x = self.norm(x + self.linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x


class Llama(Model):
    def norm(self, x, name):
        return self.weights[f"{name}.weight"] * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])

    def turn(self, x):
        half = x.shape[-1] // 2
        frequencies = self.config.get("rope_theta", 10000.0) ** (-torch.arange(half) / half)
        angles = torch.outer(torch.arange(x.shape[2]).float(), frequencies)
        cos, sin = angles.cos(), angles.sin()
        first, second = x[..., :half], x[..., half:]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    def forward(self, ids):
        c = self.config
        count, shared = c["num_attention_heads"], c["num_attention_heads"] // c["num_key_value_heads"]
        x = self.weights["model.embed_tokens.weight"][ids.long()]
        mask = torch.full((ids.shape[1], ids.shape[1]), -1e30).triu(1)
        for layer in range(c["num_hidden_layers"]):
            name = f"model.layers.{layer}"
            y = self.norm(x, f"{name}.input_layernorm")
            q = self.turn(heads(self.linear(y, f"{name}.self_attn.q_proj"), count))
            k = self.turn(heads(self.linear(y, f"{name}.self_attn.k_proj"), count // shared)).repeat_interleave(shared, 1)
            v = heads(self.linear(y, f"{name}.self_attn.v_proj"), count // shared).repeat_interleave(shared, 1)
            x = x + self.linear(attend(q, k, v, mask), f"{name}.self_attn.o_proj")
            y = self.norm(x, f"{name}.post_attention_layernorm")
            hidden = silu(self.linear(y, f"{name}.mlp.gate_proj")) * self.linear(y, f"{name}.mlp.up_proj")
            x = x + self.linear(hidden, f"{name}.mlp.down_proj")
        return self.norm(x, "model.norm")


def open_model(folder):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        return (Bert if json.load(file)["model_type"] == "bert" else Llama)(folder).eval()


def uniform(count, vocabulary):
    """The ids of `gammascope verify --uniform`."""
    state, ids = 42, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % vocabulary)
    return ids


def main(command, folder, *rest):
    model = open_model(folder)
    with torch.no_grad():
        if command == "export":
            ids = torch.zeros((1, 128), dtype=torch.int32)
            axes = {"ids": {0: "sequences"}, "hidden": {0: "sequences"}}
            names = {"input_names": ["ids"], "output_names": ["hidden"], "dynamic_axes": axes}
            torch.onnx.export(model, (ids,), rest[0], opset_version=17, dynamo=False, **names)
            return
        sequences, tokens = map(int, rest)
        ids = torch.tensor(uniform(sequences * tokens, model.vocabulary), dtype=torch.int32).view(sequences, tokens)
        hidden = model(ids)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            hidden = model(ids)
            times.append(time.perf_counter() - began)
        values = hidden.reshape(-1)[:4].tolist()
        print(json.dumps({"seconds": min(times), "version": torch.__version__, "values": values, "vocabulary": model.vocabulary}))


if __name__ == "__main__":
    main(*sys.argv[1:])
