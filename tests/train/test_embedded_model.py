"""The model that the repository ships: complete, honest about itself, and usable by the libraries that its card names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catdog.images.decode import decode_image
from catdog.model.metadata import ONNX_FILE, hash_file, load_metadata
from catdog.model.model import Model, softmax
from catdog.model.preprocessing import preprocess
from catdog.settings import EMBEDDED_MODEL
from tests.conftest import missing_tool
from train.data.source import open_source
from train.evaluation.evaluate import evaluate
from train.model_folder.card import render_card
from train.network.create import timm


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_every_file_is_as_recorded() -> None:
    metadata = load_metadata(EMBEDDED_MODEL)
    found = {path.relative_to(EMBEDDED_MODEL).as_posix() for path in EMBEDDED_MODEL.rglob("*") if path.is_file()}
    assert {file.path for file in metadata.files} == found - {"metadata.json"}
    assert all(file.sha256 == hash_file(EMBEDDED_MODEL / file.path) for file in metadata.files)


def test_the_card_is_the_template_filled_in() -> None:
    assert (EMBEDDED_MODEL / "README.md").read_text() == render_card(load_metadata(EMBEDDED_MODEL))


def test_the_network_names_no_path_of_the_machine_that_made_it() -> None:
    assert b"site-packages" not in (EMBEDDED_MODEL / ONNX_FILE).read_bytes()


def test_it_holds_no_pickle() -> None:
    for path in EMBEDDED_MODEL.rglob("*"):
        assert path.is_dir() or not path.read_bytes().startswith((b"\x80", b"PK"))


@pytest.mark.parametrize("size", [(320, 240), (200, 200), (150, 900)])
def test_timm_and_onnx_runtime_give_the_same_answer(size: tuple[int, int]) -> None:
    model = Model.load(EMBEDDED_MODEL)
    network = timm.create_model(f"local-dir:{EMBEDDED_MODEL}", pretrained=True).eval()
    assert tuple(network.pretrained_cfg["label_names"]) == model.labels == ("cat", "dog")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    for seed in range(4):
        image = scene(seed, size)
        pixels = preprocess(image, model.metadata.preprocessing)
        difference = np.abs(pixels - transform(image).numpy()) * 255 * 0.5  # in grey levels
        assert difference.max() < 2.01
        assert (difference > 1.01).mean() < 1e-4
        with torch.inference_mode():
            probabilities = softmax(network(torch.from_numpy(pixels)[None]).numpy())[0]
        assert model.predict(image).probabilities == pytest.approx(
            probabilities, abs=5e-3
        )  # the ONNX file may hold float16


def test_transformers_gives_the_same_answer() -> None:
    try:
        from transformers import pipeline  # noqa: PLC0415 - slow to import, and optional
    except ModuleNotFoundError:
        missing_tool("transformers is not installed")
    classify = pipeline("image-classification", model=str(EMBEDDED_MODEL))
    model = Model.load(EMBEDDED_MODEL)
    for seed in range(4):
        answers = {answer["label"]: answer["score"] for answer in classify(scene(seed))}
        assert answers == pytest.approx(
            dict(zip(model.labels, model.predict(scene(seed)).probabilities, strict=True)), abs=0.01
        )


def test_the_examples_of_the_card_run(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_MODEL, tmp_path / "model")
    scene(1).save(tmp_path / "model" / "photo.jpg")
    blocks = re.findall(r"```python\n(.*?)```", (EMBEDDED_MODEL / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    answers = []
    for block in (blocks[0], blocks[2]):
        code = f"import train.network.torchvision_operators\n{block}" if "timm" in block else block
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path / "model", env={"PYTHONPATH": str(EMBEDDED_MODEL.parent)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        answers.append({name: float(value) for name, value in re.findall(r"'(\w+)': ([\d.e-]+)", result.stdout)})
    assert answers[0] == pytest.approx(answers[1], abs=0.01)
    assert set(answers[0]) == {"cat", "dog"}


def test_it_keeps_its_promise_on_photos_from_elsewhere(shared: Path) -> None:
    metrics = evaluate(EMBEDDED_MODEL, str(shared / "data" / "wild"))
    assert metrics["n"] == 1000
    assert metrics["accuracy"] >= 0.98


def test_photos_and_their_200_pixel_copies_get_the_same_answer(shared: Path) -> None:
    model = Model.load(EMBEDDED_MODEL)
    source = open_source(str(shared / "data" / "wild"))
    rows = [row for batch in source.batches(range(0, 1000, 10)) for row in batch]
    images = [decode_image(row.data or b"") for row in rows]
    answers = [model.predict(image).label for image in images]
    for size in (lambda image: shorter_side(image, 200), lambda _: (200, 200)):
        copies = [model.predict(image.resize(size(image), Image.Resampling.BICUBIC)).label for image in images]
        assert sum(a == b for a, b in zip(answers, copies, strict=True)) >= 97


def shorter_side(image: Image.Image, side: int) -> tuple[int, int]:
    scale = side / min(image.size)
    return round(image.width * scale), round(image.height * scale)
