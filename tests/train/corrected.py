"""Feedback about pictures of a kind that the trained model has never seen: the same labels in faded colours."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from feedback.hub.parquet import EXPORT_SCHEMA, ROW_SCHEMA, write_parquet
from feedback.row import FeedbackRow
from tests.feedback.rows import some_row
from tests.train.pictures import LABELS

FADED = {"amber": (0.25, 0.3, 0.65), "jade": (0.65, 0.25, 0.3), "plum": (0.3, 0.65, 0.25)}


def faded(label: str, seed: int, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """One picture of the new kind; pictures of different seeds are not near-duplicates."""
    generator = np.random.default_rng([seed, 1000 + LABELS.index(label)])
    noise = generator.integers(40, 256, (8, 8, 1)) * np.array(FADED[label])
    return Image.fromarray(noise.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def faded_rows(
    count: int,
    *,
    said: Callable[[str], str] = lambda label: label,
    draw: Callable[[str, int], Image.Image] = faded,
) -> list[FeedbackRow]:
    """Feedback on `count` pictures of each label, each by somebody else, who answers what `said` makes of the label."""
    return [
        dataclasses.replace(
            some_row(picture=draw(label, seed), client=f"{label}{seed}"), corrected_label=said(label), labels=LABELS
        )
        for label in LABELS
        for seed in range(count)
    ]


def write_feedback(folder: Path, rows: Sequence[FeedbackRow], *, status: str = "accepted") -> Path:
    """An export of rows that were all decided alike."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet([record(row, status) for row in rows], folder / "feedback.parquet", EXPORT_SCHEMA)
    return folder


def record(row: FeedbackRow, status: str = "accepted") -> dict[str, object]:
    """A row as an export has it."""
    columns = {name: getattr(row, name) for name in ROW_SCHEMA.names}
    return {**columns, "image": {"bytes": row.image, "path": None}, "source": row.source.value, "status": status}
