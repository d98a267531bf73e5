"""The notebook runs from top to bottom, and is committed without pictures."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.conftest import ROOT
from tests.toy import toy_model

NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"


def run(data: Path, model: Path, *, limit: int) -> str:
    """What it prints, run from its own folder with other parameters."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = f"DATA, MODEL, LIMIT = {str(data)!r}, {str(model)!r}, {limit}"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook's own libraries
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    for channel, colour in enumerate(("red", "green", "blue")):
        (tmp_path / "data" / colour).mkdir(parents=True)
        for seed in range(6):
            pixels = np.random.default_rng([channel, seed]).integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(tmp_path / "data" / colour / f"{seed}.png")
    (tmp_path / "data" / "green" / "5.png").rename(tmp_path / "data" / "blue" / "wrong.png")
    said = run(tmp_path / "data", toy_model(tmp_path / "toy"), limit=100)
    assert "18 readable pictures, 0 others" in said
    assert f"accuracy: {17 / 18:.4f}" in said
    assert "1 mistakes" in said


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_on_the_real_data(shared: Path) -> None:
    said = run(shared / "data" / "cats_vs_dogs", ROOT / "model", limit=300)
    assert "300 readable pictures, 0 others" in said


def test_the_notebook_is_committed_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs"), "clear the outputs: they show pictures"
        assert cell.get("execution_count") is None
