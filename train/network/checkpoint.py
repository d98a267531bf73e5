"""What an interrupted run needs to go on: written after every epoch, aside first and then renamed."""

import io
import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from catdog.errors import SettingsError
from catdog.files import write_atomically

CHECKPOINT_FILE = "checkpoint.pt"
HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `epoch` epochs."""

    epoch: int
    steps: int
    """Of the optimiser."""
    options: str
    """What the run was asked to do, as JSON; another run must not go on from it."""
    network: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    """The moving average of the weights."""
    optimizer: dict[str, Any]
    best: dict[str, torch.Tensor]
    """The averaged weights of the best epoch so far."""
    history: list[dict[str, float]]
    """One entry an epoch."""
    start: float = math.inf
    """The validation log loss before the first epoch, if it competes."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint, and its history as JSON lines. A crash leaves the old or the new one."""
    lines = "".join(f"{json.dumps(entry)}\n" for entry in checkpoint.history)
    (folder / HISTORY_FILE).write_text(lines, encoding="utf-8")
    # In memory first: torch turns a full disk into an error that does not say so.
    state = io.BytesIO()
    torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, state)
    write_atomically(folder / CHECKPOINT_FILE, state.getbuffer())


def load_checkpoint(folder: Path, options: str) -> Checkpoint | None:
    """The folder's checkpoint; None if there is none yet.

    Only tensors and plain values are unpickled.

    Raises:
        SettingsError: it is damaged, or belongs to a run with other options.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise SettingsError(f"{path} is damaged ({error}). Delete {folder} and start again.") from None
    if checkpoint.options != options:
        raise SettingsError(
            f"{folder} holds a run with other options or other data. Go on with the same ones, or delete it."
        )
    return checkpoint
