"""`gammascope.inspect` on files, and the report."""
import json

import gammascope
import numpy
import pytest
from conftest import ROOT, read_safetensors


@pytest.mark.parametrize("name", ["layernorm", "rmsnorm", "vit-layernorm"])
def test_the_json_is_that_of_the_terminal_byte_for_byte(name, sample, terminal):
    report = gammascope.inspect(sample(name))
    assert report.json() == terminal("inspect", sample(name), "--json")
    assert report.data == json.loads(report.json())


def test_options_are_those_of_the_terminal(sample, terminal):
    report = gammascope.inspect([sample("layernorm") / "model.safetensors"], no_weights=True)
    assert report.json() == terminal("inspect", "--no-weights", sample("layernorm") / "model.safetensors", "--json")


def test_minilm_from_python_is_minilm_from_the_terminal(minilm, terminal):
    assert gammascope.inspect(minilm).json() == terminal("inspect", minilm, "--json")


def test_the_kernel_is_the_inverse_scale(sample):
    report = gammascope.inspect(sample("layernorm"))
    _, _, raw = read_safetensors(sample("layernorm") / "model.safetensors")["transformer.ln_f.weight"]
    scale = (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype(float)
    v = report.kernel("ln_f")
    assert (v.shape, v.dtype) == ((128,), numpy.float64)
    numpy.testing.assert_allclose(v, (1 / scale) / numpy.linalg.norm(1 / scale), rtol=1e-14)
    v[0] = 0.0  # it is the caller's own copy


def test_channels_that_are_off_are_unit_vectors():
    scale = numpy.linspace(0.5, 1.5, 16, dtype="float32")
    scale[[3, 7]] = 0.0
    report = gammascope.inspect(block(scale))
    kernel = report.kernel("norm")
    assert kernel.tolist() == numpy.eye(16)[[3, 7]].tolist()


def test_a_norm_without_kernel_and_a_name_without_norm_are_errors(sample):
    report = gammascope.inspect(sample("rmsnorm"))
    with pytest.raises(gammascope.GammascopeError, match="has a kernel"):
        report.kernel("model.norm")
    with pytest.raises(gammascope.GammascopeError, match="no norm site `nothing`"):
        report.kernel("nothing")


def test_norms_are_dicts_and_a_table(sample):
    norms = gammascope.inspect(sample("layernorm")).norms
    assert len(norms) == 9 and norms[-1]["name"] == "transformer.ln_f" and norms[-1]["kind"] == "layernorm"
    pandas = pytest.importorskip("pandas")
    table = norms.to_pandas()
    assert isinstance(table, pandas.DataFrame) and len(table) == 9
    assert table["kernel.form"].unique().tolist() == ["inverse_scale"]


def test_dead_directions_are_those_of_the_report(sample):
    report = gammascope.inspect(sample("layernorm"))
    dead = report.dead()
    assert dead == json.loads(report.json())["dead_parameters"] and dead["with_bias_shift"] > 0


def test_html_is_one_file_and_can_leave_out_names(sample):
    report = gammascope.inspect(sample("layernorm"))
    page = report.html()
    assert page.startswith("<!DOCTYPE html>") and "transformer.ln_f" in page and page.count("<svg") >= 4
    assert "transformer.ln_f" not in report.html(names=False)


def test_a_notebook_shows_the_verdict_and_the_figures(sample):
    report = gammascope.inspect(sample("layernorm"))
    piece = report._repr_html_()
    assert report.verdict.split(".")[0] in piece and piece.count("<svg") >= 4 and "<script" not in piece
    assert report.verdict in repr(report)


def test_what_cannot_be_opened_is_the_sentence_of_the_terminal(tmp_path, packaged):
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(gammascope.GammascopeError) as raised:
        gammascope.inspect(missing)
    assert f"error: {raised.value}\n" == packaged("inspect", missing).stderr


def test_the_types_are_shipped():
    folder = ROOT / "python/gammascope"
    installed = gammascope.__path__[0]
    for name in ("py.typed", "_native.pyi"):
        assert open(f"{installed}/{name}", "rb").read() == (folder / name).read_bytes()


def block(scale):
    """A state_dict with one LayerNorm and a map that reads it."""
    width = len(scale)
    random = numpy.random.default_rng(0)
    return {
        "norm.weight": scale,
        "norm.bias": numpy.zeros(width, "float32"),
        "head.weight": random.standard_normal((5, width)).astype("float32"),
    }
