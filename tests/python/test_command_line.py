"""The terminal that the wheel brings, and its commands as functions."""
import json
import os
import subprocess
import sys

import gammascope
import pytest


def test_it_is_the_terminal(packaged, terminal):
    assert packaged("--version").stdout == f"gammascope {gammascope.__version__}\n" == terminal("--version")
    assert packaged("--help").stdout == terminal("--help")


def test_exit_codes_are_those_of_the_terminal(packaged, sample, tmp_path):
    assert packaged("inspect", sample("layernorm")).returncode == 0
    assert packaged("inspect").returncode == 1
    assert packaged("inspect", tmp_path / "missing").returncode == 2
    assert packaged("check", sample("layernorm"), "--expect", "rmsnorm").returncode == 5


def test_the_module_runs_as_a_program(sample, terminal):
    arguments = [sys.executable, "-m", "gammascope", "inspect", str(sample("rmsnorm")), "--json"]
    assert subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout.decode() == terminal(*arguments[3:])


def test_a_clean_environment_has_the_command_and_the_module(sample):
    python = os.environ.get("CLEAN_PYTHON")
    if not python:
        pytest.skip("needs a virtual environment with only the wheel, in CLEAN_PYTHON")
    code = f"import gammascope; print(gammascope.inspect({str(sample('layernorm'))!r}).verdict)"
    said = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert said.startswith("LayerNorm model. All 9 norms ignore one direction")
    shown = subprocess.run([python, "-m", "gammascope", str(sample("layernorm"))], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert said.split(".")[0] in shown


def test_importing_loads_neither_numpy_nor_torch():
    code = "import sys, gammascope; print([name for name in ('numpy', 'pandas', 'torch') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout.strip() == b"[]"


def test_compare_is_that_of_the_terminal(sample, terminal):
    both = sample("layernorm"), sample("rmsnorm")
    assert gammascope.compare(*both) == json.loads(terminal("compare", *both, "--json"))


def test_verify_is_that_of_the_terminal(sample, terminal):
    found = gammascope.verify(sample("rmsnorm"), tokens=256, uniform=True, sites="final")
    expected = json.loads(terminal("verify", sample("rmsnorm"), "--tokens", 256, "--uniform", "--sites", "final", "--json"))
    assert found["verification"]["sites"] == expected["verification"]["sites"]


def test_export_writes_the_file_of_the_terminal(sample, terminal, tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    assert gammascope.export(sample("layernorm"), ours, site=["ln_f", "h.0.ln_1"]) == str(ours)
    terminal("export", sample("layernorm"), "--output", theirs, "--site", "ln_f", "--site", "h.0.ln_1")
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_command_that_fails_raises_its_sentence(sample, tmp_path):
    with pytest.raises(gammascope.GammascopeError, match="^`.*missing`"):
        gammascope.adapter(sample("layernorm"), tmp_path / "missing")
    with pytest.raises(gammascope.GammascopeError, match="has a kernel"):
        gammascope.export(sample("rmsnorm"), tmp_path / "kernels.json")


def test_a_folder_with_the_name_of_the_package_does_not_hide_it(sample, tmp_path, monkeypatch):
    if sys.version_info < (3, 11):
        pytest.skip("needs Python 3.11, whose PYTHONSAFEPATH leaves out the working folder")
    (tmp_path / "gammascope").mkdir()
    (tmp_path / "gammascope/__init__.py").write_text("raise SystemExit('the wrong package')\n")
    monkeypatch.chdir(tmp_path)
    assert gammascope.measure(sample("layernorm"), alone=True, site="ln_f")["schema"] == "gammascope.norm_alone/1"


def test_a_token_is_not_an_argument_of_a_process(sample, monkeypatch):
    seen = []
    original = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda program, **options: seen.append(program) or original(program, **options))
    gammascope.compare(sample("layernorm"), sample("layernorm"), token="secret")
    assert not any("secret" in word for word in seen[0])
