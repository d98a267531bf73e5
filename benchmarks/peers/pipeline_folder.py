"""A folder through the image-classification pipeline of transformers: `... MODEL_FOLDER FOLDER BATCH_SIZE`.

Prints a line of CSV a picture, as `python -m catdog predict --format csv` does: path, label, confidence.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import sys
from pathlib import Path

from transformers import pipeline


def main(model: str, folder: str, batch_size: str) -> None:
    paths = sorted(map(str, Path(folder).glob("*.jpg")))
    classify = pipeline("image-classification", model=model)
    for path, answers in zip(paths, classify(paths, batch_size=int(batch_size)), strict=True):
        best = max(answers, key=lambda answer: answer["score"])
        print(f"{path},{best['label']},{best['score']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
