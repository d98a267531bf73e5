"""The static page crops exactly as the app does."""

import json
import shutil
import subprocess

import pytest

from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import crop_box
from tests.conftest import ROOT

SCRIPT = """
const { cropBox } = await import(process.argv[1]);
const sizes = JSON.parse(process.argv[2]), specs = JSON.parse(process.argv[3]);
console.log(JSON.stringify(specs.map((spec) => sizes.map(([width, height]) => cropBox(width, height, spec)))));
"""
SIZES = [(width, height) for width in (1, 49, 97, 161, 500, 1023, 4001) for height in (1, 53, 98, 333, 768, 3999)]
SPECS = [
    Preprocessing(input_size=side, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", crop_pct=part, crop_mode=mode)
    for side in (80, 224, 253)
    for part in (0.875, 0.95, 1.0)
    for mode in ("center", "squash")
]  # fmt: skip


@pytest.mark.skipif(not shutil.which("node"), reason="runs the page's script in Node.js")
def test_the_static_page_crops_as_the_app_does_and_never_beyond_the_picture() -> None:
    specs = json.dumps([spec.model_dump() for spec in SPECS])
    command = [
        "node",
        "--input-type=module",
        "-e",
        SCRIPT,
        str(ROOT / "browser" / "preprocess.js"),
        json.dumps(SIZES),
        specs,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    boxes = json.loads(ran.stdout)
    assert boxes == [[list(crop_box(size, spec)) for size in SIZES] for spec in SPECS]
    for of_spec in boxes:
        for (width, height), (_, _, right, bottom) in zip(SIZES, of_spec, strict=True):
            assert right <= width
            assert bottom <= height
