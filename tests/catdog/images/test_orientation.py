"""A photo gets the same answer in whichever format and orientation a phone stored it."""

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from catdog.images.decode import decode_image
from catdog.model.model import Model
from tests.conftest import ROOT
from tests.toy import encoded

UNDO = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
BEST = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
}


@pytest.fixture(scope="module")
def model() -> Model:
    folder = ROOT / "model"
    if not (folder / "metadata.json").is_file():
        pytest.skip("no embedded model")
    pillow_heif.register_heif_opener()
    return Model.load(folder)


def scene() -> Image.Image:
    """A picture that is another one when it is turned or mirrored, of grey blocks that JPEG keeps as they are."""
    rng = np.random.default_rng(3)
    blocks = rng.integers(0, 255, (38, 50), dtype=np.uint8)
    return Image.fromarray(blocks).resize((400, 304), Image.Resampling.NEAREST).convert("RGB")


def probabilities(model: Model, data: bytes) -> np.ndarray:
    return np.asarray(model.predict(decode_image(data)).probabilities)


def test_the_answer_is_the_same_in_all_formats_and_orientations(model: Model) -> None:
    wanted = probabilities(model, encoded(scene(), "PNG"))
    turned = []
    for orientation, undo in UNDO.items():
        stored = scene().transpose(undo) if undo is not None else scene()
        turned.append(np.abs(probabilities(model, encoded(stored, "PNG")) - wanted).max())
        exif = Image.Exif()
        exif[0x0112] = orientation
        for format_, options in BEST.items():
            found = probabilities(model, encoded(stored, format_, exif=exif.tobytes(), **options))
            assert np.allclose(found, wanted, atol=1e-3), f"{format_} {orientation}"
    assert np.median(turned[1:]) > 1e-3, "the picture does not show whether it is upright"
