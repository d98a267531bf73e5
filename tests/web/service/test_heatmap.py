"""The heat map: it lies where the reasons are."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from catdog.errors import UnknownRequestError
from catdog.hub.models import LoadedModel
from catdog.model.metadata import Preprocessing
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from feedback.row import Source
from tests.toy import encoded, picture
from web.app import create_service
from web.metrics.metrics import Metrics
from web.service.heatmap import as_data_url, overlay

WHOLE = Preprocessing(
    input_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear", crop_pct=1.0, crop_mode="squash"
)


def two_halves() -> bytes:
    """Blue on the left, red, and more of it, on the right."""
    image = picture("blue", (200, 100))
    image.paste(picture("red", (110, 100)), (90, 0))
    return encoded(image, "PNG")


def test_of_a_picture_with_two_objects_the_answers_half_is_bright(tmp_path: Path, toy_folder: Path) -> None:
    with Journal.open(tmp_path / "data") as journal:
        live = LoadedModel(Model.load(toy_folder), "folder")
        service = create_service(Settings(data_dir=tmp_path / "data"), live, journal, Metrics())
        answer = asyncio.run(service.classify(two_halves, Source.UPLOAD))
        explanation = asyncio.run(service.explain(answer.request_id))
        with pytest.raises(UnknownRequestError):
            asyncio.run(service.explain("never heard of"))
    assert explanation.label == answer.prediction.label == "red"
    layer = np.asarray(explanation.layer).astype(float)
    assert layer.shape == (128, 256, 4)
    heat = layer[..., 0] * layer[..., 3]
    assert heat[:, 128:].sum() > 5 * heat[:, :128].sum()


def test_what_the_network_does_not_see_is_shaded() -> None:
    spec = WHOLE.model_copy(update={"crop_mode": "center"})
    layer = np.asarray(overlay(np.ones((4, 4), dtype=np.float32), (200, 100), spec))
    for unseen in (layer[:, :60], layer[:, 196:]):
        assert unseen[..., :3].max() == 0
        assert 100 < unseen[..., 3].min() < 200, "the photo must stay visible"
    assert layer[:, 70:186, 0].min() > 200


def test_what_speaks_against_the_label_is_left_out() -> None:
    heat = -np.ones((4, 4), dtype=np.float32)
    layer = overlay(heat, (64, 64), WHOLE)
    assert np.asarray(layer)[..., 3].max() == 0
    assert as_data_url(layer).startswith("data:image/png;base64,")
