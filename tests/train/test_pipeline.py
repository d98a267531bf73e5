import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catdog.model.metadata import load_metadata
from tests.conftest import ROOT
from tests.train.pictures import LABELS, write_folder
from train.loop.publish import check_folder

PARAMETERS = """
seed: 0
data: {source: tints, revision: main, side: 40, overlay: train/overlays/cats_vs_dogs.csv, splits: splits.csv}
network: {init: random, arch: mobilenetv3_small_050, img_size: 32, crop_pct: 1.0}
fit: {epochs: 2, batch-size: 8, train-size: 32, rate: 0.001, seed: 1}
"""
STAGES = ("prepare", "audit", "fit", "evaluate", "card")


def dvc(folder: Path, *arguments: str) -> str:
    tools = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "HF_HOME": str(folder / "home"),
    }
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's own pipeline, with a small configuration, run once."""
    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("catdog", "feedback", "train"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "model_card.md", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    write_folder(folder / "tints", count=24)
    shutil.copyfile(ROOT / "model" / "splits.csv", folder / "splits.csv")
    (folder / "params.yaml").write_text(PARAMETERS)
    dvc(folder, "init", "--no-scm", "--quiet")
    shutil.copyfile(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    with (folder / ".dvc" / "config").open("a") as file:
        file.write("    no_scm = True\n")
    dvc(folder, "repro")
    return folder


def test_it_ends_with_a_model_folder_that_can_be_promoted(pipeline: Path) -> None:
    metadata = check_folder(pipeline / "runs" / "pipeline" / "release")
    assert metadata.labels == LABELS
    assert metadata.training["data"]["name"] == "tints"
    assert metadata.metrics["test"] == load_metadata(pipeline / "runs" / "pipeline" / "model").metrics["test"]
    assert (pipeline / "runs" / "pipeline" / "release" / "reliability.png").is_file()
    assert not (pipeline / "model").exists()


def test_what_has_not_changed_is_skipped(pipeline: Path) -> None:
    """Compiled files, which differ from clone to clone, do not count as a change."""
    for name in ("catdog/images", "train/data", "train/network"):
        compiled = pipeline / name / "__pycache__" / "compiled.pyc"
        compiled.parent.mkdir(exist_ok=True)
        compiled.write_bytes(b"of another clone")
    output = dvc(pipeline, "repro")
    assert [f"Stage '{name}' didn't change, skipping" in output for name in STAGES] == [True] * len(STAGES)
    (pipeline / "model_card.md").write_text((pipeline / "model_card.md").read_text() + "\nAn added line.\n")
    changed = json.loads(dvc(pipeline, "status", "--json"))
    assert set(changed) == {"card"}


def test_metrics_and_plots_can_be_shown(pipeline: Path) -> None:
    shown = json.loads(dvc(pipeline, "metrics", "show", "--json"))[""]["data"]
    measured = load_metadata(pipeline / "runs" / "pipeline" / "model").metrics["test"]["accuracy"]
    assert shown["runs/pipeline/metrics.json"]["data"]["accuracy"] == measured
    assert shown["runs/pipeline/audit/audit.json"]["data"]["n"] == 72
    dvc(pipeline, "plots", "show", "--out", "plots")
    page = (pipeline / "plots" / "index.html").read_text()
    assert "train_loss" in page
    assert "reliability.png" in page
