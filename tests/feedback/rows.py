"""Rows to test with, and a program that appends them: `python -m tests.feedback.rows FOLDER COUNT [MAX_FILE_BYTES]`."""

import dataclasses
import os
import resource
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from catdog.errors import FeedbackError
from catdog.model.metadata import Verdict
from catdog.model.model import Prediction
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow, Source, new_row

PREDICTION = Prediction(
    labels=("cat", "dog"),
    probabilities=(0.75, 0.25),
    verdict=Verdict("cat"),
    positive_label="dog",
    neither_score=None,
    model_id="someone/cat-or-dog",
    model_revision="local-0123456789ab",
)


def noise(size: tuple[int, int] = (24, 16)) -> Image.Image:
    """A picture unlike any other."""
    return Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))


def some_row(*, picture: Image.Image | None = None, corrected_label: str = "dog", **changes: Any) -> FeedbackRow:
    """A row that differs from others in picture and request, and as asked."""
    row = new_row(
        prediction=PREDICTION,
        picture=picture or noise(),
        corrected_label=corrected_label,
        request_id=os.urandom(8).hex(),
        source=Source.UPLOAD,
        client="00ff",
    )
    return dataclasses.replace(row, **changes)


def _append_until_told(folder: Path, count: int) -> int:
    """Append rows, and say so on stdout after each; a failure is said, and is the end."""
    with Journal.open(folder) as journal:
        for _ in range(count):
            try:
                saved = journal.append(row := some_row())
            except FeedbackError as error:
                print("failed:", error, flush=True)  # noqa: T201
                return _recovers(journal)
            print(saved.id, row.image_sha256, flush=True)  # noqa: T201
    return 0


def _recovers(journal: Journal) -> int:
    """Append once more on a larger disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    saved = journal.append(row := some_row())
    print(saved.id, row.image_sha256, flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    sys.exit(_append_until_told(Path(sys.argv[1]), int(sys.argv[2])))
