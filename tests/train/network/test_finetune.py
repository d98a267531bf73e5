from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import Preprocessing
from tests.train.pictures import LABELS, picture
from train.network.checkpoint import CHECKPOINT_FILE, HISTORY_FILE, load_checkpoint
from train.network.create import create_network
from train.network.distill import NO_LABEL
from train.network.finetune import TrainingSet, balanced, create_accelerator, finetune
from train.network.inference import run
from train.options import Augmentation, Schedule

SPEC = Preprocessing(
    input_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", crop_pct=1.0, crop_mode="center"
)
SCHEDULE = Schedule(epochs=2, batch_size=8, train_size=32, rate=3e-3, average_decay=0.9, seed=3)


def pictures(seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Squares (n, 3, 32, 32) and labels (n,)."""
    pairs = [(seed, label) for seed in seeds for label in range(len(LABELS))]
    squares = [np.asarray(picture(LABELS[label], seed, (32, 32))).transpose(2, 0, 1) for seed, label in pairs]
    return np.stack(squares), np.array([label for _, label in pairs])


@pytest.fixture(scope="module")
def training() -> TrainingSet:
    squares, labels = pictures(range(16))
    return TrainingSet(squares, np.ones(len(labels), dtype=np.float32), labels, np.arange(len(labels)))


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return create_network("mobilenetv3_small_050", labels=3, init="random").to(memory_format=torch.channels_last)


def validation(stop_in: int = 99) -> Callable[[nn.Module], tuple[np.ndarray, np.ndarray]]:
    squares, labels = pictures(range(100, 106))
    calls = []

    def validate(network: nn.Module) -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        if len(calls) == stop_in:
            raise KeyboardInterrupt
        return run(network, [torch.from_numpy(squares)], SPEC, device=torch.device("cpu")), labels

    return validate


def train_in(  # noqa: PLR0913
    folder: Path,
    training: TrainingSet,
    schedule: Schedule = SCHEDULE,
    *,
    options: str = "{}",
    stop_in: int = 99,
    network: nn.Module | None = None,
    patience: int | None = None,
) -> tuple[nn.Module, list[dict[str, float]]]:
    folder.mkdir(exist_ok=True)
    network = network or fresh()
    history = finetune(
        network, training, validation(stop_in), SPEC, schedule,
        accelerator=create_accelerator(accumulate=schedule.accumulate), folder=folder, options=options,
        patience=patience,
    )  # fmt: skip
    return network, history


def test_it_learns(tmp_path: Path, training: TrainingSet) -> None:
    gentle = Augmentation(brightness=0.1, contrast=0.1, saturation=0.1, grey=0, coarse=0, mix_share=0)
    schedule = replace(SCHEDULE, epochs=10, rate=1e-3, body_factor=1.0, average_decay=0.8, augmentation=gentle)
    _, history = train_in(tmp_path, training, schedule)
    assert history[-1]["auc"] > 0.85


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path, training: TrainingSet) -> None:
    whole, history = train_in(tmp_path / "whole", training)
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path / "halves", training, stop_in=3)  # the first look is at the start
    assert len((tmp_path / "halves" / HISTORY_FILE).read_text().splitlines()) == 1
    other = fresh()
    halves, resumed = train_in(tmp_path / "halves", training, network=other)
    assert [each["train_loss"] for each in resumed] == pytest.approx([each["train_loss"] for each in history])
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(halves.state_dict()[name], tensor, msg=name)


def test_the_best_epoch_is_kept(tmp_path: Path, training: TrainingSet) -> None:
    network, history = train_in(tmp_path, training, replace(SCHEDULE, epochs=3))
    logits, labels = validation()(network.eval())
    probabilities = torch.from_numpy(logits).softmax(dim=1).numpy()
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert loss <= min(each["log_loss"] for each in history) + 1e-4


def test_a_start_that_no_epoch_betters_is_kept_and_training_stops_early(tmp_path: Path, training: TrainingSet) -> None:
    network, _ = train_in(tmp_path / "good", training, replace(SCHEDULE, epochs=6, rate=1e-3, average_decay=0.8))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ruinous = replace(SCHEDULE, epochs=6, rate=0.3, average_decay=0.0)
    _, history = train_in(tmp_path / "bad", training, ruinous, network=network, patience=2)
    assert len(history) < ruinous.epochs
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], msg=name)


def test_balanced_training_shows_every_label_as_often() -> None:
    members, labels = np.arange(10, 20), np.array([0] * 6 + [1] * 3 + [NO_LABEL])
    shown = balanced(members, labels)
    assert {label: int((labels[shown - 10] == label).sum()) for label in (0, 1, NO_LABEL)} == {0: 6, 1: 6, NO_LABEL: 1}
    assert set(shown) == set(members)


def test_accumulated_batches_make_fewer_steps(tmp_path: Path, training: TrainingSet) -> None:
    train_in(tmp_path, training, replace(SCHEDULE, epochs=1, accumulate=2))
    checkpoint = load_checkpoint(tmp_path, "{}")
    assert checkpoint is not None
    assert checkpoint.steps == 3


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, training: TrainingSet) -> None:
    train_in(tmp_path, training, replace(SCHEDULE, epochs=1))
    with pytest.raises(SettingsError, match="other options"):
        train_in(tmp_path, training, options='{"other": 1}')


def test_a_damaged_checkpoint_is_explained(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(SettingsError, match="damaged"):
        load_checkpoint(tmp_path, "{}")


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, training: TrainingSet) -> None:
    with pytest.raises(DataError, match="--rate"):
        train_in(tmp_path, training, replace(SCHEDULE, rate=1e30))
