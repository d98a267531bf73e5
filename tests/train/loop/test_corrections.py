"""What of the accepted feedback is learned from, judged by, or left out."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from catdog.images.decode import decode_image, to_jpeg
from catdog.images.phash import phash
from feedback.row import FeedbackRow
from tests.feedback.rows import noise, some_row
from train.data.splits import Manifest
from train.gate.evidence import Asked
from train.loop.accepted import AcceptedRow
from train.loop.corrections import Corrections, Earlier, select_corrections

LABELS = ("cat", "dog")


def accepted(row: FeedbackRow) -> AcceptedRow:
    return AcceptedRow(row.id, row.image, row.image_sha256, row.corrected_label, row.client)


def vote(picture: Image.Image, label: str, client: str) -> AcceptedRow:
    return dataclasses.replace(accepted(some_row(picture=picture, client=client)), corrected_label=label)


def smooth(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture whose copies in other sizes and qualities look alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def select(
    rows: list[AcceptedRow],
    manifest: Manifest | None = None,
    earlier: Earlier = Earlier(),  # noqa: B008 - frozen
) -> Corrections:
    return select_corrections(rows, labels=LABELS, manifest=manifest or {}, earlier=earlier)


def learned(corrections: Corrections) -> list[tuple[str, int]]:
    return [(each.label, len(each.row_ids)) for each in corrections.answers]


def test_no_feedback_gives_nothing() -> None:
    corrections = select([])
    assert (corrections.answers, corrections.rehearsed, corrections.neither) == ((), (), ())


def test_near_identical_pictures_are_one_example_with_the_label_of_most_clients() -> None:
    rows = [vote(smooth(1), "cat", "a"), vote(smooth(1, (128, 96)), "cat", "b"), vote(smooth(1), "dog", "c")]
    corrections = select(rows)
    assert learned(corrections) == [("cat", 2)]
    assert corrections.left_out["outvoted"] == (rows[2].id,)


def test_a_client_has_one_vote_for_a_picture_and_the_newest_counts() -> None:
    rows = [*(vote(smooth(1), "dog", "flood") for _ in range(5)), vote(smooth(1), "cat", "flood")]
    corrections = select(rows)
    assert learned(corrections) == [("cat", 1)]
    assert corrections.left_out["repeated"] == tuple(row.id for row in rows[:5])


def test_rows_without_a_client_share_one_vote() -> None:
    rows = [*(vote(smooth(1), "dog", "") for _ in range(3)), vote(smooth(1), "cat", "a"), vote(smooth(1), "cat", "b")]
    assert learned(select(rows)) == [("cat", 2)]


def test_a_tie_teaches_nothing() -> None:
    corrections = select([vote(smooth(1), "cat", "a"), vote(smooth(1), "dog", "b")])
    assert corrections.answers == ()
    assert len(corrections.left_out["contradicting"]) == 2


def test_unsure_and_strange_labels_are_left_out_and_neither_is_kept_apart() -> None:
    rows = [vote(smooth(seed), label, "a") for seed, label in enumerate(["unsure", "wolf", "neither", "cat"])]
    corrections = select(rows)
    assert learned(corrections) == [("cat", 1)]
    assert corrections.left_out["unsure"] == (rows[0].id,)
    assert corrections.left_out["unknown_label"] == (rows[1].id,)
    assert [each.row_ids for each in corrections.neither] == [(rows[2].id,)]


def test_damaged_pictures_are_left_out() -> None:
    row = vote(smooth(1), "cat", "a")
    broken = dataclasses.replace(row, image=row.image[:-40])
    unreadable = accepted(dataclasses.replace(some_row(), image=b"", image_sha256="e3b0c44298fc1c149afbf4c8996fb924"))
    assert select([broken, unreadable]).left_out["damaged"] == (broken.id, unreadable.id)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_pictures_near_those_that_judge_or_choose_are_left_out_and_counted(split: str) -> None:
    row = vote(smooth(1), "cat", "a")
    manifest: Manifest = {phash(smooth(1, (300, 200))): split, phash(smooth(2)): "train"}  # type: ignore[dict-item]
    corrections = select([row, vote(smooth(2), "cat", "a")], manifest)
    assert corrections.left_out[f"near_{split}"] == (row.id,)
    assert len(corrections.answers) == 1


def test_every_row_has_one_fate() -> None:
    rows = [vote(smooth(seed % 7), ["cat", "dog", "neither", "unsure"][seed % 4], f"c{seed % 3}") for seed in range(40)]
    corrections = select(rows)
    learned = (corrections.answers, corrections.rehearsed, corrections.neither, corrections.neither_rehearsed)
    fates = [row for some in learned for each in some for row in each.row_ids] + [
        row for ids in corrections.left_out.values() for row in ids
    ]
    assert sorted(fates) == sorted(row.id for row in rows)


def many(count: int) -> list[AcceptedRow]:
    return [vote(noise(), "cat", f"c{number}") for number in range(count)]


def test_what_the_base_has_learned_is_rehearsed_and_never_judges() -> None:
    rows = [*many(6), vote(noise(), "neither", "a"), vote(noise(), "neither", "b")]
    corrections = select(rows, earlier=Earlier(frozenset({rows[0].id, rows[1].id, rows[6].id})))
    assert [each.row_ids for each in corrections.rehearsed] == [(rows[0].id,), (rows[1].id,)]
    assert [each.row_ids for each in corrections.neither_rehearsed] == [(rows[6].id,)]
    assert (len(corrections.answers), len(corrections.neither)) == (4, 1)


def test_a_picture_of_the_random_sample_stays_one_whoever_answers_it_too() -> None:
    sampled = dataclasses.replace(vote(smooth(1), "cat", ""), asked=Asked.SAMPLE)
    corrections = select([sampled, vote(smooth(1), "cat", "a"), vote(smooth(2), "cat", "a")])
    assert [each.asked for each in corrections.answers] == [Asked.SAMPLE, Asked.VOLUNTEERED]


def test_a_picture_that_was_recompressed_still_belongs_to_its_group() -> None:
    picture = smooth(3, (200, 150))
    again = decode_image(to_jpeg(picture, max_side=96, quality=60))
    assert learned(select([vote(picture, "cat", "a"), vote(again, "cat", "b")])) == [("cat", 2)]
