"""Tests that `gammascope fold` computes the tensors that TransformerLens computes when it folds the same model itself.

    lens.py GAMMASCOPE FOLDER [MODEL ...]      writes models to FOLDER and folds them there; each MODEL is tested too

The models are tiny ones of tests/forward and a GPT-2 at its real width, with random scales. Prints `N passed, N failed, N skipped`. Without
torch, transformers or TransformerLens (3 or later), the tests are skipped.
"""
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
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
except ImportError as missing:
    print(f"skipped: {missing}")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

# Unit roundoff of float32.
ROUNDOFF = 2**-24
# The furthest that two roundings of one tensor may be apart, in unit roundoffs of its largest value. TransformerLens works in float32, so
# sums over d have errors of their own.
MOST = 16


def random_gpt2(folder):
    """Writes a GPT-2 of width 768 with two blocks, whose norms and biases are random."""
    torch.manual_seed(29)
    config = GPT2Config(vocab_size=1000, n_positions=256, n_layer=2, tie_word_embeddings=False)
    model = GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
        elif "ln_" in name:
            torch.nn.init.normal_(parameter, mean=1, std=0.2)
    model.save_pretrained(folder)


def lens(folder, **processing):
    """Returns the tensors of TransformerLens, float64."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    bridge = TransformerBridge.boot_transformers(folder, hf_model=model, device="cpu")
    bridge.enable_compatibility_mode(disable_warnings=True, **processing)
    return {name: tensor.double() for name, tensor in bridge.state_dict().items()}


def folded_unembedding(tensors):
    """Returns the tensors with the shift of the last norm in the bias of the unembedding. TransformerLens has such a bias. GPT-2 and GPT-NeoX
    have none, so gammascope leaves the shift, and what the unembedding reads along the dead direction of the norm."""
    weight, bias, shift = (tensors[name] for name in ("unembed.weight", "unembed.bias", "ln_final.bias"))
    return {
        **tensors,
        "unembed.weight": weight - weight.mean(dim=1, keepdim=True),
        "unembed.bias": bias + weight @ shift,
        "ln_final.bias": torch.zeros_like(shift),
    }


def case(gammascope, what, folder, out):
    run = subprocess.run(
        [gammascope, "fold", folder, "-o", out, "--untie", "--scales", "--shifts", "--centre", "--canonical"], capture_output=True, text=True
    )
    if run.returncode != 0:
        print(run.stderr)
        return {f"{what}: is folded": False}
    theirs = lens(folder, fold_ln=True, center_writing_weights=True, center_unembed=False, fold_value_biases=False)
    ours = folded_unembedding(lens(out, no_processing=True))
    furthest, where = 0.0, ""
    for name, expected in theirs.items():
        found = ours[name]
        if found.shape != expected.shape:
            return {f"{what}: `{name}` has the same shape": False}
        apart = ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30) / ROUNDOFF).item()
        if apart > furthest:
            furthest, where = apart, name
    print(f"{what}: at most {furthest:.1f} unit roundoffs, in {where}")
    return {f"{what}: all {len(theirs)} tensors are those of TransformerLens": furthest <= MOST}


def main():
    gammascope, folder, *models = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    cases = [("GPT-2 at width 768", os.path.join(folder, "gpt2-768"))]
    random_gpt2(cases[0][1])
    for family in ("gpt2", "gpt_neox"):
        cases.append((family, os.path.join(folder, family)))
        in_f32(family, cases[-1][1])
    cases += [(os.path.basename(model.rstrip("/")), model) for model in models]
    claims = {}
    for at, (what, model) in enumerate(cases):
        claims.update(case(gammascope, what, model, os.path.join(folder, f"folded-{at}")))
    return conclude(claims)


if __name__ == "__main__":
    sys.exit(main())
