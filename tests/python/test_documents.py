"""The notebook and the examples of docs/python.md."""
import re

import gammascope
import pytest
from conftest import MINILM, ROOT


def test_the_notebook_runs(sample, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("pandas")
    pytest.importorskip("transformers")
    # A trained model of the repository takes the place of MiniLM where that is missing.
    monkeypatch.setenv("MODEL", str(MINILM if MINILM.exists() else sample("layernorm")))
    notebook = nbformat.read(ROOT / "examples/python/minilm.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any(output.get("data", {}).get("text/html", "").count("<svg") >= 4 for output in outputs)
    text = "".join(output.get("text", "") for output in outputs)
    assert "directions of" in text and "mean_subtracting" in text and "not_mean_subtracting" not in text


def test_the_examples_of_the_page_run(minilm, monkeypatch, tmp_path, capsys):
    pytest.importorskip("transformers")
    inspecting, watching, _ = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(inspecting, names)
    assert names["v"].shape == (384,) and names["v"].dtype == float
    exec(watching, names)
    assert capsys.readouterr().out.count("mean_subtracting") == len(gammascope.inspect(minilm).norms)
