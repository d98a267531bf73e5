"""The head on cached features: what a few answers teach a network, and what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from train.loop.late import Answered, LateSchedule, Pictures, predict_late, train_late
from train.network.backbone import FrozenPart, head_logits

SIDE = 32
QUICK = LateSchedule(steps=40, batch_size=32)


@pytest.fixture(scope="module")
def champion() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("mobilenetv3_small_050", num_classes=2).eval()


def pictures(network: nn.Module, count: int, seed: int, label: int | None = None) -> Pictures:
    """Random features with the label that the network gives them, or with another one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        features = FrozenPart(network)(torch.randn(count, 3, SIDE, SIDE, generator=generator))
        logits = head_logits(network, features)
    labels = logits.argmax(dim=1).numpy() if label is None else np.full(count, label)
    return Pictures(features.numpy()[:, None], labels.astype(np.int64))


def answered(network: nn.Module, count: int, seed: int, label: int | None = None) -> Answered:
    """Nothing in their style."""
    shown = pictures(network, count, seed, label)
    return Answered(shown, shown.features[:, :0], np.empty((count, 0), dtype=np.int64))


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18", "efficientnet_lite0"])
def test_both_parts_together_are_the_network(name: str) -> None:
    network = timm.create_model(name, num_classes=3).eval()
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.allclose(head_logits(network, FrozenPart(network)(pixels)), network(pixels), atol=1e-5)


def test_answers_are_learned_and_the_champion_stays_as_it_is(champion: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in champion.state_dict().items()}
    replay = pictures(champion, 40, seed=1)
    other = 1 - int(np.bincount(replay.labels).argmax())
    answers = answered(champion, 12, seed=2, label=other)
    schedule = replace(QUICK, rate=1e-2, hold=0.0, reporting=1.0, pull=0.0)
    made = train_late(champion, replay, answers, schedule)
    assert all(torch.equal(tensor, before[name]) for name, tensor in champion.state_dict().items())
    served = answers.pictures.served
    assert (predict_late(made, served).argmax(axis=1) == other).mean() > 0.9
    changed = {
        name.split(".")[0] for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"conv_head", "classifier"}


def test_corrections_of_a_kind_do_not_turn_everything_of_it_over(champion: nn.Module) -> None:
    """Mistakes are reported more often than right answers: half of each among answers is not half in the world."""
    shown = pictures(champion, 20, seed=2)
    labels = np.where(np.arange(20) % 2 == 0, shown.labels, 1 - shown.labels)
    answers = Answered(Pictures(shown.features, labels), shown.features[:, :0], np.empty((20, 0), dtype=np.int64))
    fresh = pictures(champion, 60, seed=3)

    def kept(reporting: float) -> float:
        made = train_late(champion, fresh, answers, replace(QUICK, reporting=reporting, hold=0.0, rate=3e-3))
        probabilities = torch.from_numpy(predict_late(made, fresh.served)).softmax(dim=1).numpy()
        return float(probabilities[np.arange(60), fresh.labels].mean())

    assert kept(20.0) > kept(1.0)


def test_old_pictures_in_the_style_of_answers_tell_where_the_champion_is_right(champion: nn.Module) -> None:
    replay, styled = pictures(champion, 40, seed=1), pictures(champion, 40, seed=2)
    other = 1 - int(np.bincount(replay.labels).argmax())
    told = pictures(champion, 12, seed=4, label=other)
    nothing = Answered(told, told.features[:, :0], np.empty((12, 0), dtype=np.int64))
    chosen = np.arange(12 * 3).reshape(12, 3)
    helped = Answered(told, styled.features[chosen, 0], styled.labels[chosen])
    schedule = replace(QUICK, rate=3e-3, hold=0.0, styled_share=1.0)

    def kept(answers: Answered) -> float:
        said = torch.from_numpy(predict_late(train_late(champion, replay, answers, schedule), styled.served))
        return float(said.softmax(dim=1).numpy()[np.arange(40), styled.labels].mean())

    assert kept(helped) > kept(nothing)


def test_the_same_seed_trains_the_same_network(champion: nn.Module) -> None:
    replay, answers = pictures(champion, 20, seed=1), answered(champion, 8, seed=2, label=0)
    first, again = (train_late(champion, replay, answers, QUICK).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_twin_without_answers_is_trained_too_and_says_what_the_champion_says(champion: nn.Module) -> None:
    replay = pictures(champion, 40, seed=1)
    twin = train_late(champion, replay, None, QUICK)
    fresh = pictures(champion, 40, seed=3)
    assert (predict_late(twin, fresh.served).argmax(axis=1) == fresh.labels).mean() > 0.7
    assert not np.array_equal(predict_late(twin, fresh.served), predict_late(champion, fresh.served))


def test_old_pictures_hold_the_network_where_it_was(champion: nn.Module) -> None:
    replay, answers = pictures(champion, 40, seed=1), answered(champion, 8, seed=2, label=0)
    before = predict_late(champion, replay.served)

    def change(hold: float) -> float:
        made = train_late(champion, replay, answers, replace(QUICK, hold=hold, rate=3e-3))
        return float(np.abs(predict_late(made, replay.served) - before).mean())

    assert change(10.0) < change(0.0)


def test_the_champions_share_bounds_the_distance(champion: nn.Module) -> None:
    replay, answers = pictures(champion, 20, seed=1), answered(champion, 8, seed=2, label=0)

    def distance(share: float) -> float:
        made = train_late(champion, replay, answers, replace(QUICK, champion_share=share))
        pairs = zip(made.parameters(), champion.parameters(), strict=True)
        return sum(float((a - b).detach().norm()) for a, b in pairs)

    assert distance(0.5) == pytest.approx(distance(0.0) / 2, rel=1e-3)
    assert distance(1.0) == 0.0
