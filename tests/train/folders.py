"""Complete model folders without any training: toy networks with what publishing wants beside them."""

from pathlib import Path
from typing import Any

from catdog.model.metadata import ONNX_FILE, FileHash, hash_file, load_metadata, write_metadata
from tests.toy import toy_model

TRAINING: dict[str, Any] = {
    "data": {"name": "pets", "revision": None, "sha256": "0" * 64, "n": 100, "skipped": 0},
    "splits": {"train": 80, "validation": 10, "test": 10},
    "init": {"name": "random", "sha256": None},
    "recipe": "finetune",
    "unsure_error_rate": 1 / 3,
}
TEST_METRICS: dict[str, Any] = {
    "n": 10,
    "accuracy": 0.9,
    "auc": None,
    "log_loss": 0.25,
    "ece": 0.01,
    "confusion_matrix": [[3, 0, 0], [1, 3, 0], [0, 0, 3]],
    "intervals": {"accuracy": (0.5, 1.0), "log_loss": (0.1, 0.5), "ece": (0.0, 0.1)},
}


def complete_folder(folder: Path, *, weights: bytes = b"weights", extra: dict[str, bytes] | None = None) -> Path:
    """A model folder as training makes it; `weights` and `extra` files tell one from another."""
    toy_model(folder)
    files = {"config.json": b"{}", "model.safetensors": weights, "README.md": b"local", **(extra or {})}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    metadata = load_metadata(folder).model_copy(update={"training": TRAINING, "metrics": {"test": TEST_METRICS}})
    listed = tuple(FileHash(path=path, sha256=hash_file(folder / path)) for path in (*files, ONNX_FILE))
    write_metadata(folder, metadata.model_copy(update={"files": listed}))
    return folder
