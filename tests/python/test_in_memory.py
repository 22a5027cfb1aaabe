"""`gammascope.inspect` on what is in memory: a state_dict, or a torch module."""
import json

import gammascope
import numpy
import pytest
from conftest import read_safetensors, write_safetensors

PARTS = ("model", "norms", "dead_parameters", "writers", "warnings")


def same(report, other):
    """Whether two reports say the same, except about their files."""
    return all(report.data[part] == other.data[part] for part in PARTS)


def widened(path):
    """The tensors of a BF16 file as float32 arrays."""
    tensors = {}
    for name, (dtype, shape, raw) in read_safetensors(path).items():
        assert dtype == "BF16"
        tensors[name] = (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return tensors


@pytest.mark.parametrize("name", ["layernorm", "rmsnorm"])
def test_arrays_give_the_report_of_their_file(name, sample, tmp_path):
    arrays = widened(sample(name) / "model.safetensors")
    config = json.loads((sample(name) / "config.json").read_text())
    write_safetensors(tmp_path / "model.safetensors", {name: ("F32", a.shape, a.tobytes()) for name, a in arrays.items()})
    (tmp_path / "config.json").write_text(json.dumps(config))
    in_memory, of_file = gammascope.inspect(arrays, config=config), gammascope.inspect(tmp_path)
    assert same(in_memory, of_file)
    assert len(in_memory.data["writers"]) > 0
    for part in ("tensors", "parameters", "format", "norm_bytes"):
        assert in_memory.data["checkpoint"][part] == of_file.data["checkpoint"][part]


def test_arrays_in_any_order_and_byte_order_are_read(sample):
    arrays = widened(sample("layernorm") / "model.safetensors")
    turned = {name: numpy.asfortranarray(a.astype(">f4")) for name, a in arrays.items()}
    assert same(gammascope.inspect(turned), gammascope.inspect(arrays))


def test_a_mapping_without_tensors_is_an_error():
    with pytest.raises(gammascope.GammascopeError, match="holds no tensor"):
        gammascope.inspect({"epoch": 3})


def test_a_model_without_norms_is_an_error():
    with pytest.raises(gammascope.GammascopeError, match="^state_dict.safetensors has no norm"):
        gammascope.inspect({"embed.weight": numpy.ones((8, 4), "float32"), "head.weight": numpy.ones((8, 4), "float32")})


def test_elements_without_a_name_in_safetensors_are_an_error():
    with pytest.raises(gammascope.GammascopeError, match="`norm.weight` has elements of type object"):
        gammascope.inspect({"norm.weight": numpy.array([None] * 4)})


def test_a_configuration_beside_a_file_is_an_error(sample):
    with pytest.raises(gammascope.GammascopeError, match="config.json"):
        gammascope.inspect(sample("layernorm"), config={})


class TestTorch:
    """Tensors and modules of PyTorch."""

    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    def model(self, torch, norm=None):
        """Two blocks and a final norm. The unembedding is tied."""
        torch.manual_seed(0)
        norm = norm or torch.nn.LayerNorm

        class Block(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.input_layernorm = norm(32)
                self.mlp = torch.nn.Linear(32, 32)

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embed = torch.nn.Embedding(50, 32)
                self.layers = torch.nn.ModuleList([Block(), Block()])
                self.norm = norm(32)
                self.lm_head = torch.nn.Linear(32, 50, bias=False)
                self.lm_head.weight = self.embed.weight

        return Model()

    def test_a_module_is_its_state_dict_and_tied_weights_count_once(self, torch):
        model = self.model(torch)
        report = gammascope.inspect(model)
        assert same(report, gammascope.inspect(model.state_dict()))
        assert report.data["checkpoint"]["parameters"] == sum(p.numel() for p in model.parameters())
        assert [norm["name"] for norm in report.norms] == ["layers.0.input_layernorm", "layers.1.input_layernorm", "norm"]

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
    def test_tensors_of_every_type_and_order_are_read(self, torch, dtype, tmp_path):
        model = self.model(torch).to(getattr(torch, dtype))
        for block in model.layers:
            block.mlp.weight.data = block.mlp.weight.data.t()  # not in order
        raw = lambda t: t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        spelled = {"bfloat16": "BF16", "float16": "F16", "float64": "F64"}[dtype]
        state = {name: (spelled, t.shape, raw(t)) for name, t in model.state_dict().items() if name != "lm_head.weight"}
        write_safetensors(tmp_path / "model.safetensors", state)
        assert same(gammascope.inspect(model), gammascope.inspect(tmp_path))

    def test_the_configuration_of_a_module_is_read(self, torch):
        model = self.model(torch)
        model.config = {"model_type": "llama", "tie_word_embeddings": True}
        assert gammascope.inspect(model).data["model"]["family"] == "llama"
        assert gammascope.inspect(model.state_dict(), config=model.config).data["model"]["family"] == "llama"

    def test_a_module_on_meta_is_an_error(self, torch):
        with pytest.raises(gammascope.GammascopeError, match="`embed.weight` is on the device `meta`"):
            gammascope.inspect(self.model(torch).to("meta"))

    def test_quantised_tensors_are_an_error(self, torch):
        state = self.model(torch).state_dict()
        state["layers.0.mlp.weight"] = torch.quantize_per_tensor(state["layers.0.mlp.weight"], 0.1, 0, torch.qint8)
        with pytest.raises(gammascope.GammascopeError, match=r"`layers.0.mlp.weight` is quantised \(torch.qint8\)"):
            gammascope.inspect(state)

    def test_a_sharded_tensor_is_an_error(self, torch, tmp_path):
        tensor = pytest.importorskip("torch.distributed.tensor")
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
        try:
            mesh = torch.distributed.init_device_mesh("cpu", (1,))
            state = self.model(torch).state_dict()
            state["embed.weight"] = tensor.distribute_tensor(state["embed.weight"], mesh, [tensor.Shard(0)])
            with pytest.raises(gammascope.GammascopeError, match=r"`embed.weight` is one shard of a tensor \(DTensor\)"):
                gammascope.inspect(state)
        finally:
            torch.distributed.destroy_process_group()

    def test_a_lazy_module_is_an_error(self, torch):
        model = torch.nn.Sequential(torch.nn.LazyLinear(4), torch.nn.LayerNorm(4))
        with pytest.raises(gammascope.GammascopeError, match="`0.weight` has no values yet"):
            gammascope.inspect(model)
