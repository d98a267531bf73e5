"""The pictures that all benchmarks use: photos of a folder beside the repository, or generated ones."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "wild"
"""A data set with `image` and `labels`, in Parquet; not part of the repository."""

USUAL_SIZE, USUAL_BYTES = (500, 375), 34_000
PHONE_SIZE = (4000, 3000)


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture, with its label where one is known."""

    image: Image.Image
    label: int | None


def photos(count: int, folder: Path = PHOTOS) -> list[Photo]:
    """The first photos of the data set; generated pictures where there is none."""
    return list(_read(folder, count)) if folder.is_dir() else [_generated(seed) for seed in range(count)]


def usual(image: Image.Image) -> bytes:
    """A JPEG of 500 x 375 pixels, and as near to 34 kB from below as its quality allows."""
    cut = fitted(image, USUAL_SIZE)
    low, high = 40, 97
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(jpeg(cut, middle)) <= USUAL_BYTES else (low, middle)
    return jpeg(cut, low)


def from_phone(image: Image.Image) -> bytes:
    """A JPEG of 12 million pixels."""
    return jpeg(fitted(image, PHONE_SIZE), 90)


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture, enlarged to this size."""
    scale = max(size[0] / image.width, size[1] / image.height)
    width, height = min(image.width, size[0] / scale), min(image.height, size[1] / scale)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encoded as cameras do, with half the colour resolution."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def written(pictures: list[bytes], folder: Path) -> list[Path]:
    """Put pictures into a folder that is made for them."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05}.jpg" for number in range(len(pictures))]
    for path, data in zip(paths, pictures, strict=True):
        path.write_bytes(data)
    return paths


def _read(folder: Path, count: int) -> Iterator[Photo]:
    left = count
    for path in sorted(folder.rglob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=["image", "labels"]):
            for row in batch.to_pylist()[:left]:
                yield Photo(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"), row["labels"])
                left -= 1
            if left <= 0:
                return


def _generated(seed: int) -> Photo:
    """Smooth shapes with noise: about as heavy as a photo."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (10, 10, 3), dtype=np.uint8)).resize((256, 192))
    noisy = np.asarray(coarse, dtype=np.int16) + generator.integers(-20, 21, (192, 256, 3))
    return Photo(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), None)
