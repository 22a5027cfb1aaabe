"""The encoders of the race, with transformers' own modules and random weights: written as a checkpoint, as an ONNX graph, or timed.

    encoders.py write CONFIG FOLDER             model.safetensors and config.json, f32
    encoders.py export FOLDER BLOCKS OUT.onnx   embeddings (sequences x tokens x width) -> hidden states, after the final norm
    encoders.py time FOLDER BLOCKS SEQUENCES

Every peer runs the first BLOCKS blocks and the final norm on the same numbers, as if they were the embedded input. `time` prints {"seconds", "version", "values",
"tokens", "width"}: the least of three runs after one, and a few of the hidden states, which show that the peers compute the same.
"""
import json
import sys
import time

import torch
import transformers

#: The module with `embeddings` before it, blocks and a final norm: its path, the name of the blocks and that of the norm.
ENCODERS = {"ViTModel": ("", "layers", "layernorm"), "WhisperForConditionalGeneration": ("model.encoder", "layers", "layer_norm")}


def embedded(sequences, tokens, width):
    """Numbers between -1 and 1, the same in every peer: those of `benches/running.mjs`."""
    count = torch.arange(sequences * tokens * width, dtype=torch.float64)
    return (torch.remainder(count * 0.6180339887498949, 1) * 2 - 1).float().view(sequences, tokens, width)


class Blocks(torch.nn.Module):
    def __init__(self, model, count):
        super().__init__()
        path, blocks, norm = ENCODERS[type(model).__name__]
        encoder = model.get_submodule(path)
        self.whisper, self.config = bool(path), model.config
        self.blocks, self.norm = encoder.get_submodule(blocks)[:count], encoder.get_submodule(norm)

    def shape(self):
        if self.whisper:
            return self.config.max_source_positions, self.config.d_model
        return (self.config.image_size // self.config.patch_size) ** 2 + 1, self.config.hidden_size

    def forward(self, x):
        for block in self.blocks:
            x = block(x, None) if self.whisper else block(x)
            x = x[0] if isinstance(x, tuple) else x
        return self.norm(x)


def from_config(path):
    config = transformers.AutoConfig.from_pretrained(path, attn_implementation="eager")
    torch.manual_seed(0)
    return getattr(transformers, config.architectures[0])._from_config(config).eval()


def main(command, source, *rest):
    if command == "write":
        from_config(source).save_pretrained(rest[0])
        return
    count, what = int(rest[0]), rest[1]
    with open(f"{source}/config.json", encoding="utf-8") as file:
        kind = getattr(transformers, json.load(file)["architectures"][0])
    blocks = Blocks(kind.from_pretrained(source, attn_implementation="eager").eval(), count)
    tokens, width = blocks.shape()
    with torch.no_grad():
        if command == "export":
            axes = {"embeddings": {0: "sequences"}, "hidden": {0: "sequences"}}
            names = {"input_names": ["embeddings"], "output_names": ["hidden"], "dynamic_axes": axes}
            torch.onnx.export(blocks, (embedded(1, tokens, width),), what, opset_version=17, dynamo=False, **names)
            return
        x = embedded(int(what), tokens, width)
        hidden = blocks(x)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            hidden = blocks(x)
            times.append(time.perf_counter() - began)
        print(json.dumps({
            "seconds": min(times),
            "version": torch.__version__,
            "values": hidden.reshape(-1)[:4].tolist(),
            "tokens": tokens,
            "width": width,
        }))


if __name__ == "__main__":
    main(*sys.argv[1:])
