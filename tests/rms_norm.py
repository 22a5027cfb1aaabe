"""Tests what `gammascope fold` makes of models, with the code of transformers: RMSNorms in the place of LayerNorms, unembeddings of their own
and added biases.

    rms_norm.py GAMMASCOPE FOLDER      writes models to FOLDER and folds them there

The models are those of tests/forward, in float32. Prints `N passed, N failed, N skipped`. Without torch, safetensors or transformers, the
tests are skipped.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
from claims import conclude  # noqa: E402, I001: ends the script if PyTorch is missing

import torch  # noqa: E402
from families import in_f32  # noqa: E402

try:
    from transformers import AutoModelForCausalLM
except ImportError as missing:
    print(f"skipped: {missing}")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

# A difference in logits that is this many times that of rounded weights is more than rounding.
MARGIN = 10

RMS_NORM = ["--to", "rmsnorm"]
# Family, options, changed fields, and the class that transformers makes of the result.
CASES = [
    ("gpt2", [*RMS_NORM, "--untie"], {}, "RmsNormGPT2LMHeadModel"),
    ("gpt_neox", RMS_NORM, {}, "RmsNormGPTNeoXForCausalLM"),
    ("opt", [*RMS_NORM, "--untie"], {}, "RmsNormOPTForCausalLM"),
    ("gptj", RMS_NORM, {}, "RmsNormGPTJForCausalLM"),
    ("phi", RMS_NORM, {}, "RmsNormPhiForCausalLM"),
    ("stablelm", RMS_NORM, {}, "RmsNormStableLmForCausalLM"),
    ("starcoder2", [*RMS_NORM, "--untie"], {}, "RmsNormStarcoder2ForCausalLM"),
    ("falcon", [*RMS_NORM, "--untie"], {}, "RmsNormFalconForCausalLM"),
    ("mpt", [*RMS_NORM, "--untie"], {}, "RmsNormMptForCausalLM"),
    ("cohere", [*RMS_NORM, "--untie"], {}, "RmsNormCohereForCausalLM"),
    ("cohere2", [*RMS_NORM, "--untie"], {}, "RmsNormCohere2ForCausalLM"),
    ("nemotron", RMS_NORM, {}, "RmsNormNemotronForCausalLM"),
    ("olmo", RMS_NORM, {"clip_qkv": None}, "LlamaForCausalLM"),
    ("gpt2", ["--untie", "--scales", "--shifts", "--centre"], {}, "GPT2LMHeadModel"),
    ("llama", ["--scales"], {}, "LlamaForCausalLM"),
    ("gemma", ["--untie", "--scales"], {}, "GemmaForCausalLM"),
    ("falcon", ["--shifts", "--add-biases"], {}, "FalconForCausalLM"),
    ("nemotron", ["--shifts", "--add-biases"], {}, "NemotronForCausalLM"),
]


def logits(folder):
    """Returns the name of the class, whether all tensors had a place, and the logits for fixed token ids."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    ids = torch.randint(model.config.vocab_size, (2, 19), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return type(model).__name__, not any(info.values()), model.eval()(ids).logits


def case(gammascope, folder, at, family, options, changes, expected):
    before, after = (os.path.join(folder, f"{at}-{name}") for name in ("before", "after"))
    in_f32(family, before, changes)
    run = subprocess.run([gammascope, "fold", before, "-o", after, *options, "--prove", "--json"], capture_output=True, text=True)
    what = f"{family} {' '.join(options)}"
    if run.returncode != 0:
        print(run.stderr)
        return {f"{what}: is folded": False}
    proof = json.loads(run.stdout)["proof"]["logits"]
    _, _, original = logits(before)
    name, whole, result = logits(after)
    difference = ((result - original).norm() / original.norm()).item()
    print(f"{what}: {difference:.1e}, floor {proof['floor']:.1e}")
    return {
        f"{what}: transformers loads {expected} and every tensor has a place": name == expected and whole,
        f"{what}: transformers' logits stay the same": difference <= MARGIN * proof["floor"],
    }


def main():
    gammascope, folder = sys.argv[1:3]
    claims = {}
    for at, (family, options, changes, expected) in enumerate(CASES):
        claims.update(case(gammascope, folder, at, family, options, changes, expected))
    return conclude(claims)


if __name__ == "__main__":
    sys.exit(main())
