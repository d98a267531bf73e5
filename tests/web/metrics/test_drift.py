"""Drift as Prometheus and the maintainer see it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catdog.hub.models import LoadedModel
from catdog.model.drift import LEAST
from catdog.model.metadata import Distribution, DriftReference, load_metadata, write_metadata
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from feedback.row import Source
from tests.toy import encoded, picture, toy_model
from web.admin.dashboard import drift_words
from web.app import create_service
from web.metrics.metrics import Metrics
from web.service.service import Service


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def service(tmp_path: Path, metrics: Metrics) -> Iterator[Service]:
    """With a model that was judged by bright pictures of all sizes."""
    folder = toy_model(tmp_path / "model")
    shares = tuple((np.arange(10) + 1) / 10)
    reference = DriftReference(
        n=1000,
        properties={
            "brightness": Distribution(values=tuple(np.linspace(0.9, 1, 10)), shares=shares),
            "aspect": Distribution(values=tuple(np.linspace(0.5, 2, 10)), shares=shares),
        },
    )
    write_metadata(folder, load_metadata(folder).model_copy(update={"drift_reference": reference}))
    with Journal.open(tmp_path / "data") as journal:
        live = LoadedModel(Model.load(folder), "folder")
        yield create_service(Settings(data_dir=tmp_path / "data"), live, journal, metrics)


def gauges(metrics: Metrics) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(metrics.prometheus().decode())
    samples = [sample for family in families if "drift" in family.name for sample in family.samples]
    return {(sample.name, sample.labels.get("property", "")): sample.value for sample in samples}


async def send(service: Service, shade: int, count: int) -> None:
    """Grey pictures, no two of them equal, half as wide as high up to twice as wide."""
    for index in range(count):
        size = (20 + 60 * index // count, 40)
        photo = encoded(picture((shade, shade - index % 20, shade), size), "PNG")
        await service.classify(lambda photo=photo: photo, Source.API)


def test_dark_pictures_raise_the_gauge_of_brightness(service: Service, metrics: Metrics) -> None:
    assert gauges(metrics) == {("catdog_drift_pictures", ""): 0}
    assert drift_words(service.drift) == f"not known yet: 0 of {LEAST} different pictures"
    asyncio.run(send(service, 120, LEAST))
    found = gauges(metrics)
    assert found["catdog_drift_pictures", ""] == LEAST
    assert found["catdog_drift_score", "brightness"] == 0.9 > found["catdog_drift_threshold", "brightness"]
    assert found["catdog_drift_score", "aspect"] < found["catdog_drift_threshold", "aspect"]
    assert drift_words(service.drift).startswith("brightness (0.90, chance 0.")
    assert drift_words(service.drift).endswith(f"over the last {LEAST} pictures")


def test_frames_of_a_camera_are_left_out(service: Service, metrics: Metrics) -> None:
    asyncio.run(service.classify_frame(encoded(picture("red"))))
    assert gauges(metrics)["catdog_drift_pictures", ""] == 0


def test_another_model_begins_anew_and_one_without_a_reference_has_no_gauges(
    service: Service, metrics: Metrics, toy_folder: Path
) -> None:
    service.swap(LoadedModel(Model.load(toy_folder), "folder"))
    assert gauges(metrics) == {}
    assert "no drift reference" in drift_words(service.drift)
