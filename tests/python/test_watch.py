"""`gammascope.watch`, compared with the terminal on a file of the same activations."""
import json
import sys

import gammascope
import pytest
from conftest import ROOT, write_safetensors

torch = pytest.importorskip("torch")
sys.path.insert(0, str(ROOT / "scripts/activations"))

TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


def raw(tensor):
    return TYPES[tensor.dtype], tensor.shape, tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def recorded(model, run, mask=None):
    """The outputs of every norm while `run` runs, tokens × width, without the tokens that the masks leave out."""
    outputs, hooks = {}, []

    def keep(name):
        def hook(_module, _inputs, y):
            rows = y.detach().clone() if mask is None else y.detach()[mask.bool()]
            outputs.setdefault(name, []).append(rows.reshape(-1, y.shape[-1]))

        return hook

    for name, module in model.named_modules():
        if "norm" in type(module).__name__.lower():
            hooks.append(module.register_forward_hook(keep(name)))
    run()
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in outputs.items()}


def measured_by_the_terminal(terminal, folder, model, outputs):
    """The sites that `gammascope measure` reports on the saved weights and outputs."""
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen and tensor.dtype in TYPES:
            tensors[name] = raw(tensor)
        seen.add(tensor.data_ptr())
    write_safetensors(folder / "model.safetensors", tensors)
    if hasattr(model, "config"):
        (folder / "config.json").write_text(model.config.to_json_string())
    write_safetensors(folder / "outputs.safetensors", {name: raw(y) for name, y in outputs.items()})
    text = terminal("measure", folder / "model.safetensors", "--activations", folder / "outputs.safetensors", "--json")
    return json.loads(text)["verification"]["sites"]


class RmsNorm(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6).to(x.dtype) * self.weight


class Block(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.input_layernorm = norm(32)
        self.mlp = torch.nn.Linear(32, 32)

    def forward(self, x):
        y = self.input_layernorm(x)
        change = self.mlp(y)
        y.zero_()  # in place: the kept values must stay
        return x + change


class Model(torch.nn.Module):
    """One block with a LayerNorm, one with an RMSNorm."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(500, 32)
        self.layers = torch.nn.ModuleList([Block(torch.nn.LayerNorm), Block(RmsNorm)])
        self.norm = torch.nn.LayerNorm(32)

    def forward(self, ids, attention_mask=None):
        x = self.embed(ids) + 0.3
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def model(dtype=torch.float32):
    torch.manual_seed(1)
    made = Model().eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    return made.to(dtype)


def ids(batch=16, tokens=24):
    return torch.randint(500, (batch, tokens), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_figures_are_those_of_measure_on_saved_activations(dtype, terminal, tmp_path):
    watched_model, given = model(dtype), ids()

    def run():
        with torch.no_grad():
            for batch in given.split(4):
                watched_model(batch)

    with gammascope.watch(watched_model, tokens=given.numel()) as watched:
        run()
    expected = measured_by_the_terminal(terminal, tmp_path, watched_model, recorded(watched_model, run))
    assert watched.report.measured["sites"] == expected and len(expected) == 3
    assert watched.tokens == dict.fromkeys(["layers.0.input_layernorm", "layers.1.input_layernorm", "norm"], given.numel())


def test_padding_is_left_out_by_the_attention_mask(terminal, tmp_path):
    watched_model, given = model(), ids()
    mask = (torch.arange(24) < torch.arange(9, 25)[:, None]).long()
    for call in (lambda: watched_model(given, attention_mask=mask), lambda: watched_model(given, mask)):
        with torch.no_grad(), gammascope.watch(watched_model, tokens=1000) as watched:
            call()
        with torch.no_grad():
            outputs = recorded(watched_model, call, mask)
        assert set(watched.tokens.values()) == {int(mask.sum())}
        assert watched.report.measured["sites"] == measured_by_the_terminal(terminal, tmp_path, watched_model, outputs)


def test_memory_is_bounded_and_the_first_tokens_are_kept(terminal, tmp_path):
    watched_model, given = model(), ids()
    with torch.no_grad(), gammascope.watch(watched_model) as watched:
        for _ in range(3):
            watched_model(given)
    assert set(watched.tokens.values()) == {4 * 32}
    with torch.no_grad():
        outputs = {name: y[: 4 * 32] for name, y in recorded(watched_model, lambda: watched_model(given)).items()}
    assert watched.report.measured["sites"] == measured_by_the_terminal(terminal, tmp_path, watched_model, outputs)


def test_chosen_sites_are_measured_alone():
    watched_model = model()
    with torch.no_grad(), gammascope.watch(watched_model, sites=["norm"]) as watched:
        watched_model(ids())
    assert [site["name"] for site in watched.report.measured["sites"]] == ["norm"]
    assert watched.report.measured["sites"][0]["verdict"] == "mean_subtracting"


def test_training_and_inference_mode_can_be_watched_in_one_block():
    watched_model = model()
    with gammascope.watch(watched_model, sites=["norm"]) as watched:
        with torch.inference_mode():
            watched_model(ids(2))
        assert watched_model(ids(6)).requires_grad
    assert watched.tokens == {"norm": 4 * 32}


def test_the_model_is_left_as_it_was():
    watched_model = model()
    before = {name: dict(module.__dict__) for name, module in watched_model.named_modules()}
    with pytest.raises(ZeroDivisionError), gammascope.watch(watched_model):
        watched_model(ids())
        raise ZeroDivisionError
    for name, module in watched_model.named_modules():
        assert module.__dict__.keys() == before[name].keys() and not module._forward_hooks


def test_a_forward_pass_that_fails_does_not_shift_later_masks():
    watched_model, given = model(), ids(4)
    mask = torch.zeros(4, 24, dtype=torch.long)
    with torch.no_grad(), gammascope.watch(watched_model, tokens=1000) as watched:
        with pytest.raises(IndexError):
            watched_model(given + 1000, mask)
        watched_model(given)
    assert set(watched.tokens.values()) == {4 * 24}


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: torch.nn.Linear(4, 4), "has no norm"),
        (lambda: model().to("meta"), "on the device `meta`"),
        (lambda: {"norm.weight": torch.ones(4)}, "needs a torch module"),
    ],
)
def test_what_cannot_be_watched_is_an_error_at_once(make, sentence):
    with pytest.raises(gammascope.GammascopeError, match=sentence):
        gammascope.watch(make())


def test_a_block_that_measures_nothing_is_an_error():
    with pytest.raises(gammascope.GammascopeError, match="no norm ran"), gammascope.watch(model()):
        pass
    with pytest.raises(gammascope.GammascopeError, match="tokens are too few"), gammascope.watch(model()) as watched:
        watched._model(ids(1, 8))
    with pytest.raises(gammascope.GammascopeError, match="no norm `nothing`"):
        gammascope.watch(model(), sites=["nothing"])
    with pytest.raises(gammascope.GammascopeError, match="nothing is measured yet"):
        gammascope.watch(model()).report


class TestTransformers:
    """Models of transformers with random weights: the figures of padded batches are those of a file without padding."""

    SMALL = {"vocab_size": 99, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}

    @pytest.fixture(autouse=True)
    def transformers(self):
        return pytest.importorskip("transformers")

    def made(self, transformers, family, dtype):
        configs = {
            "bert": transformers.BertConfig(**self.SMALL),
            "gpt2": transformers.GPT2Config(vocab_size=99, n_layer=2, n_head=4, n_embd=32),
            "llama": transformers.LlamaConfig(**self.SMALL),
            "qwen3": transformers.Qwen3Config(**self.SMALL, head_dim=8, num_key_value_heads=2) if hasattr(transformers, "Qwen3Config") else None,
        }
        if configs[family] is None:
            pytest.skip(f"needs a transformers with {family}")
        torch.manual_seed(3)
        made = transformers.AutoModel.from_config(configs[family]).eval()
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.ndim == 1 and "norm" in name.lower() or ".ln_" in name:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        return made.to(dtype)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "qwen3"])
    def test_padded_batches_give_the_figures_of_saved_activations(self, transformers, family, dtype, terminal, tmp_path):
        watched_model = self.made(transformers, family, dtype)
        given = torch.randint(99, (16, 24), generator=torch.Generator().manual_seed(2))
        mask = (torch.arange(24) < torch.arange(9, 25)[:, None]).long()

        def run():
            with torch.no_grad():
                watched_model(input_ids=given, attention_mask=mask)

        with gammascope.watch(watched_model, tokens=2000) as watched:
            run()
        outputs = recorded(watched_model, run, mask)
        assert watched.unseen == [] and set(watched.tokens) == set(outputs)
        assert watched.report.measured["sites"] == measured_by_the_terminal(terminal, tmp_path, watched_model, outputs)

    def test_a_decoder_is_not_masked_by_the_mask_of_its_encoder(self, transformers):
        torch.manual_seed(3)
        config = transformers.BartConfig(vocab_size=99, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64)
        watched_model = transformers.BartModel(config).eval()
        given = torch.randint(4, 99, (16, 24))
        mask = (torch.arange(24) < torch.arange(9, 25)[:, None]).long()
        with torch.no_grad(), gammascope.watch(watched_model, tokens=2000) as watched:
            watched_model(input_ids=given, attention_mask=mask, decoder_input_ids=given)
        of_decoder = {tokens for name, tokens in watched.tokens.items() if name.startswith("decoder.")}
        of_encoder = {tokens for name, tokens in watched.tokens.items() if name.startswith("encoder.")}
        assert (of_encoder, of_decoder) == ({int(mask.sum())}, {given.numel()})

    def test_the_report_of_a_module_is_that_of_its_saved_folder(self, transformers, tmp_path):
        watched_model = self.made(transformers, "bert", torch.float32)
        watched_model.save_pretrained(tmp_path)
        in_memory, saved = gammascope.inspect(watched_model), gammascope.inspect(tmp_path)
        for part in ("model", "norms", "dead_parameters", "writers"):
            assert in_memory.data[part] == saved.data[part]
