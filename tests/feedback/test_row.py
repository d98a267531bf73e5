"""What a feedback row is made of."""

import dataclasses
import hashlib
import io
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from PIL import Image

from catdog import __version__
from catdog.errors import UnknownLabelError
from catdog.images.phash import NEAR_DUPLICATE, hamming_distance
from feedback.row import Source, new_row
from tests.feedback.rows import PREDICTION, noise, some_row


def test_a_row_holds_both_answers_and_where_they_came_from() -> None:
    row = new_row(
        prediction=PREDICTION,
        picture=noise(),
        corrected_label="dog",
        request_id="r1",
        source=Source.WEBCAM,
        client="00ff",
        extra={"latency_ms": 12},
    )
    assert (row.predicted_label, row.corrected_label, row.verdict) == ("cat", "dog", "cat")
    assert (row.labels, row.probabilities) == (("cat", "dog"), (0.75, 0.25))
    assert (row.model_id, row.model_revision) == ("someone/cat-or-dog", "local-0123456789ab")
    assert (row.request_id, row.source, row.client, row.extra) == ("r1", "webcam", "00ff", '{"latency_ms": 12}')
    assert (row.app_version, row.schema_version) == (__version__, 1)


def test_the_stored_picture_is_a_jpeg_of_at_most_512_pixels_without_metadata() -> None:
    picture = noise((1024, 300))
    picture.info["exif"] = b"Exif\0\0GPS"
    row = some_row(picture=picture)
    stored = Image.open(io.BytesIO(row.image))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (512, 150))
    assert b"Exif" not in row.image
    assert row.image_sha256 == hashlib.sha256(row.image).hexdigest()


def test_the_perceptual_hash_says_that_a_smaller_copy_is_the_same_picture() -> None:
    picture = Image.radial_gradient("L").convert("RGB").rotate(17)
    copy, other = picture.resize((90, 90)), noise((90, 90))
    distances = [
        hamming_distance(some_row(picture=picture).image_phash, some_row(picture=p).image_phash) for p in (copy, other)
    ]
    assert distances[0] <= NEAR_DUPLICATE < distances[1]


def test_ids_sort_by_time() -> None:
    ids = [some_row().id for _ in range(20)]
    assert sorted(ids) == ids
    assert {uuid.UUID(id_).version for id_ in ids} == {7}


def test_times_are_kept_in_utc() -> None:
    noon = datetime(2025, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    arguments = {"prediction": PREDICTION, "picture": noise(), "corrected_label": "cat", "request_id": "r"}
    row = new_row(**arguments, source=Source.API, client="", created_at=noon)  # type: ignore[arg-type]
    assert (row.created_at, row.created_at.tzinfo) == (datetime(2025, 6, 1, 10, tzinfo=UTC), UTC)


@pytest.mark.parametrize(("label", "is_confirmation"), [("cat", True), ("dog", False), ("neither", False)])
def test_a_correction_equal_to_the_prediction_is_a_confirmation(label: str, is_confirmation: bool) -> None:
    assert some_row(corrected_label=label).is_confirmation is is_confirmation


@pytest.mark.parametrize("label", ["fox", "", "Cat"])
def test_a_label_that_the_model_does_not_know_is_refused_with_the_choice(label: str) -> None:
    with pytest.raises(UnknownLabelError, match="cat, dog, neither, unsure"):
        some_row(corrected_label=label)


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        some_row().corrected_label = "cat"  # type: ignore[misc]
