"""One training run, shared by the tests of this folder."""

from pathlib import Path

import datasets
import pytest
import torch

from tests.train.pictures import write_folder
from train.fit import fit
from train.options import FitOptions, Schedule


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Data sets read by the tests are cached with the other temporary files."""
    torch.set_num_threads(1)  # several threads on busy cores wait for each other
    datasets.disable_progress_bars()
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures under three labels, and a file that is none."""
    folder = write_folder(tmp_path_factory.mktemp("data") / "tints")
    (folder / "jade" / "broken.png").write_bytes((folder / "jade" / "0.png").read_bytes()[:100])
    return folder


@pytest.fixture(scope="session")
def options(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FitOptions:
    """A run of seconds."""
    return FitOptions(
        data=str(folder),
        init="random",
        out=tmp_path_factory.mktemp("runs") / "tints",
        architecture="mobilenetv3_small_050",
        img_size=48,
        schedule=Schedule(epochs=2, batch_size=8, train_size=32, seed=1),
    )


@pytest.fixture(scope="session")
def trained(options: FitOptions) -> Path:
    """The model folder of that run."""
    return fit(options)
