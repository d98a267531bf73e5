"""The head on last maps: what a few answers teach a network, and what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from catdog.model.model import softmax
from train.loop.late import Alike, AlikeSchedule, LateSchedule, Pictures, predict_late, train_late
from train.network.backbone import BeforeHead, head_logits

SIDE = 32
QUICK = LateSchedule(batch_size=16)
_STRONG = AlikeSchedule(steps=40, batch_size=32, rate=1e-2, pull=0.0, trust=1.0, champion_share=0.0)


@pytest.fixture(scope="module")
def champion() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("mobilenetv3_small_050", num_classes=2).eval()


def pictures(network: nn.Module, count: int, seed: int, label: int | None = None) -> Pictures:
    """Random maps with the label that the network gives them, or with another one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        maps = BeforeHead(network)(torch.randn(count, 3, SIDE, SIDE, generator=generator))
        logits = head_logits(network, maps)
    labels = logits.argmax(dim=1).numpy() if label is None else np.full(count, label)
    return Pictures(maps.numpy().astype(np.float16)[:, None], labels.astype(np.int64))


def test_both_parts_together_are_the_network(champion: nn.Module) -> None:
    pixels = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.allclose(head_logits(champion, BeforeHead(champion)(pixels)), champion(pixels), atol=1e-5)


def test_a_network_without_a_trunk_is_split_before_its_head() -> None:
    network = timm.create_model("resnet18", num_classes=3).eval()
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.allclose(head_logits(network, BeforeHead(network)(pixels)), network(pixels), atol=1e-5)


def test_answers_are_learned_and_the_champion_stays_as_it_is(champion: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in champion.state_dict().items()}
    replay = pictures(champion, 40, seed=1)
    other = 1 - int(np.bincount(replay.labels).argmax())
    answers = pictures(champion, 12, seed=2, label=other)
    schedule = replace(QUICK, rate=1e-2, trust=1.0, pull=0.0)
    made = train_late(champion, replay, answers, schedule, steps=60)
    assert all(torch.equal(tensor, before[name]) for name, tensor in champion.state_dict().items())
    share = (predict_late(made, answers.served).argmax(axis=1) == other).mean()
    assert share > (predict_late(champion, answers.served).argmax(axis=1) == other).mean()
    changed = {
        name.split(".")[0] for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"conv_head", "classifier"}


def test_the_same_seed_trains_the_same_network(champion: nn.Module) -> None:
    replay, answers = pictures(champion, 20, seed=1), pictures(champion, 8, seed=2, label=0)
    first, again = (train_late(champion, replay, answers, QUICK, steps=5).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_twin_without_answers_says_what_the_champion_says(champion: nn.Module) -> None:
    replay, fresh = pictures(champion, 40, seed=1), pictures(champion, 40, seed=3)
    twin = train_late(champion, replay, None, replace(QUICK, rehearse=1.0), steps=20)
    said, before = (softmax(predict_late(network, fresh.served)) for network in (twin, champion))
    assert np.abs(said - before).max() < 0.1


@pytest.mark.parametrize(("answers", "steps"), [(1, 60), (100, 125), (5000, 150)])
def test_more_answers_take_more_steps_within_bounds(answers: int, steps: int) -> None:
    assert (
        LateSchedule(epochs=30, least_steps=60, most_steps=150, batch_size=64, new_share=0.375).steps(answers) == steps
    )


def test_old_pictures_that_look_like_answers_teach_what_the_answers_are_wrong_about(champion: nn.Module) -> None:
    replay = pictures(champion, 40, seed=1)
    other = 1 - int(np.bincount(replay.labels).argmax())
    alike = Alike(pictures(champion, 40, seed=2, label=other), replay.served)
    misled = pictures(champion, 8, seed=4, label=1 - other)
    schedule = replace(QUICK, alike=replace(_STRONG, steps=60))
    made = train_late(champion, replay, misled, schedule, steps=1, alike=alike)
    fresh = pictures(champion, 40, seed=5)
    before, after = (predict_late(network, fresh.served).argmax(axis=1) == other for network in (champion, made))
    assert after.mean() > before.mean()


def test_old_pictures_as_they_are_keep_what_the_champion_says(champion: nn.Module) -> None:
    replay = pictures(champion, 40, seed=1)
    other = 1 - int(np.bincount(replay.labels).argmax())
    alike = Alike(pictures(champion, 40, seed=2, label=other), replay.served)
    free, held = (
        train_late(champion, replay, None, replace(QUICK, alike=replace(_STRONG, hold=hold)), steps=1, alike=alike)
        for hold in (0.0, 10.0)
    )
    said = predict_late(champion, replay.served)
    change = [float(np.abs(predict_late(network, replay.served) - said).mean()) for network in (free, held)]
    assert change[1] < change[0]
