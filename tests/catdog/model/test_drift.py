"""Drift: how often chance alone raises it, and what really does."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance

from catdog.model.drift import FALSE_ALARM_RATE, LEAST, WINDOW, DriftMonitor, compare, measure
from catdog.model.metadata import DriftReference, Metadata, load_metadata, write_metadata
from catdog.model.model import Model
from tests.toy import toy_model
from train.model_folder.drift import describe, principal_components

Sample = dict[str, npt.NDArray[np.float64]]
PROPERTIES = ("confidence", "size", "aspect", "brightness", "contrast", "sharpness", "features")


def population(generator: np.random.Generator, n: int) -> Sample:
    """Properties like those of photos: some pile up at an end, some take few values, all depend on each other."""
    common = generator.normal(size=n)
    own = generator.normal(size=(len(PROPERTIES), n))
    mixed = 0.5 * common + 0.8 * own
    columns = dict(zip(PROPERTIES, mixed, strict=True))
    columns["confidence"] = 1 / (1 + np.exp(-4 - 3 * mixed[0]))
    columns["size"] = np.exp2(np.round(8 + mixed[1]))
    columns["aspect"] = generator.choice([0.75, 1.0, 4 / 3, 1.5], n, p=[0.3, 0.1, 0.4, 0.2])
    return columns


def reference_of(sample: Sample) -> DriftReference:
    described = {name: describe(values) for name, values in sample.items()}
    return DriftReference(n=len(sample["confidence"]), properties={k: v for k, v in described.items() if v})


def test_chance_alone_raises_it_no_more_often_than_stated() -> None:
    generator = np.random.default_rng(0)
    alarms = windows = 0
    for _ in range(100):
        reference = reference_of(population(generator, 2000))
        assert set(reference.properties) == set(PROPERTIES)
        for n in (LEAST, WINDOW) * 20:
            windows += 1
            alarms += any(each.is_drift for each in compare(reference, population(generator, n)))
    # Were the rate just the stated one, more than 11 of 4,000 windows had a probability of 0.1 %.
    assert (windows, FALSE_ALARM_RATE) == (4000, 0.001)
    assert alarms <= 11, f"{alarms} of {windows} windows"


@pytest.mark.parametrize(("name", "shift"), [("brightness", 0.5), ("features", -0.5), ("sharpness", 0.5)])
def test_half_a_standard_deviation_raises_it_in_that_property_alone(name: str, shift: float) -> None:
    generator = np.random.default_rng(1)
    reference = reference_of(population(generator, 2000))
    for _ in range(20):
        window = population(generator, WINDOW)
        window[name] = window[name] + shift * window[name].std()
        assert [each.name for each in compare(reference, window) if each.is_drift] == [name]


def test_a_property_that_nearly_all_pictures_share_is_no_reference() -> None:
    values = np.arange(100.0)
    assert describe(np.where(values < 91, 200.0, values)) is None
    assert describe(np.where(values < 90, 200.0, values)) is not None


def test_the_components_have_mean_0_and_variance_1() -> None:
    features = np.random.default_rng(0).normal(size=(500, 20)) * np.linspace(0.01, 3, 20) + 5
    projection = principal_components(features.astype(np.float32))
    assert projection is not None
    projected = features @ projection.matrix.T.astype(np.float64) + projection.offsets
    assert projected.mean(axis=0) == pytest.approx(np.zeros(8), abs=0.01)
    assert np.cov(projected.T) == pytest.approx(np.eye(8), abs=0.02)
    assert principal_components(np.ones((10, 4), dtype=np.float32)) is None


def photo(generator: np.random.Generator) -> Image.Image:
    """A picture of its own size, colour and grain."""
    width, height = generator.integers(16, 80, 2).tolist()
    coarse = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    fine = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    grain = float(generator.uniform(0.05, 0.4))
    return Image.blend(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), fine, grain)


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [photo(generator) for _ in range(600)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, photos: list[Image.Image]) -> Model:
    """A toy model with the first 300 pictures as its reference."""
    folder = toy_model(tmp_path_factory.mktemp("drift") / "m")
    plain = Model.load(folder)
    seen = [plain.look(image) for image in photos[:300]]
    measured = [measure(each, plain.metadata.preprocessing) for each in seen]
    described = {name: describe(np.array([each[name] for each in measured])) for name in measured[0]}
    reference = DriftReference(n=300, properties={k: v for k, v in described.items() if v})
    write_metadata(folder, load_metadata(folder).model_copy(update={"drift_reference": reference}))
    return Model.load(folder)


def watched(model: Model, images: list[Image.Image], **options: int) -> DriftMonitor:
    monitor = DriftMonitor(model.metadata, model.revision, **options)
    for image in images:
        monitor.observe(model.look(image))
    return monitor


def test_pictures_of_the_same_kind_raise_nothing(model: Model, photos: list[Image.Image]) -> None:
    scores = watched(model, photos[300:]).scores()
    assert {each.name for each in scores} == set(PROPERTIES) - {"features"}
    assert not [each for each in scores if each.is_drift]


def test_darkened_pictures_raise_brightness_and_not_size(model: Model, photos: list[Image.Image]) -> None:
    dark = [ImageEnhance.Brightness(image).enhance(0.6) for image in photos[300:]]
    drifted = {each.name for each in watched(model, dark).scores() if each.is_drift}
    assert "brightness" in drifted
    assert not {"size", "aspect"} & drifted


def test_few_pictures_and_the_same_one_again_raise_nothing(model: Model, photos: list[Image.Image]) -> None:
    monitor = watched(model, photos[: LEAST - 1])
    for _ in range(3 * LEAST):
        monitor.observe(model.look(photos[0]))
    assert monitor.pictures == LEAST - 1
    assert monitor.scores() == []


def test_the_window_slides_and_stays_small(model: Model, photos: list[Image.Image]) -> None:
    monitor = watched(model, [Image.eval(image, lambda value: value // 3) for image in photos[300:550]], window=250)
    assert any(each.is_drift for each in monitor.scores())
    for image in photos[300:550]:
        monitor.observe(model.look(image))
    assert monitor.pictures == 250
    assert not any(each.is_drift for each in monitor.scores())


def test_what_another_revision_saw_is_ignored(model: Model, photos: list[Image.Image]) -> None:
    monitor = DriftMonitor(model.metadata, "another")
    monitor.observe(model.look(photos[0]))
    assert monitor.pictures == 0


def test_a_model_without_a_reference_is_not_watched(tmp_path: Path) -> None:
    model = Model.load(toy_model(tmp_path / "m"))
    monitor = watched(model, [Image.new("RGB", (9, 9))])
    assert (monitor.has_reference, monitor.pictures, monitor.scores()) == (False, 0, [])


def test_a_damaged_reference_is_refused_in_words(model: Model) -> None:
    assert model.metadata.drift_reference is not None
    broken = model.metadata.model_dump() | {
        "drift_reference": {"n": 5, "properties": {"size": {"values": [2, 1], "shares": [0.5, 1]}}}
    }
    with pytest.raises(ValueError, match="ascend"):
        Metadata.model_validate(broken)
