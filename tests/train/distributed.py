"""One tiny training, for as many processes as run this file: `python -m torch.distributed.run ... FILE OUT`.

Nothing is drawn at random but the order of the pictures, so that processes which share the work end where one does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catdog.model.metadata import Preprocessing
from tests.train.pictures import LABELS, picture
from train.network.checkpoint import load_checkpoint
from train.network.create import create_network
from train.network.finetune import TrainingSet, create_accelerator, finetune
from train.network.inference import run
from train.options import Augmentation, Schedule

GLOBAL_BATCH = 16
SPEC = Preprocessing(
    input_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", crop_pct=1.0, crop_mode="center"
)
STILL = Augmentation(
    area=(1.0, 1.0), ratio=(1.0, 1.0), degrees=0, shear=0, brightness=0, contrast=0, saturation=0, grey=0, coarse=0
)


def pictures(seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Squares (n, 3, 32, 32) and labels (n,)."""
    pairs = [(seed, label) for seed in seeds for label in range(len(LABELS))]
    squares = [np.asarray(picture(LABELS[label], seed, (32, 32))).transpose(2, 0, 1) for seed, label in pairs]
    return np.stack(squares), np.array([label for _, label in pairs])


def train_together(folder: Path) -> dict[str, Any]:
    """Train with all processes; the same number of pictures a step, whatever their number."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    accelerator = create_accelerator()
    squares, labels = pictures(range(32))
    unseen, truth = pictures(range(100, 120))
    network = create_network("mobilenetv3_small_050", labels=3, init="random").to(memory_format=torch.channels_last)
    schedule = Schedule(
        epochs=8, batch_size=GLOBAL_BATCH // accelerator.num_processes, train_size=32, rate=1e-3, body_factor=1.0,
        average_decay=0.8, augmentation=STILL,
    )  # fmt: skip
    history = finetune(
        network,
        TrainingSet(squares, np.ones(len(labels), dtype=np.float32), labels, np.arange(len(labels))),
        lambda candidate: (run(candidate, [torch.from_numpy(unseen)], SPEC, device=torch.device("cpu")), truth),
        SPEC, schedule, accelerator=accelerator, folder=folder, options="{}",
    )  # fmt: skip
    checkpoint = load_checkpoint(folder, "{}") if accelerator.is_main_process else None
    return {
        "processes": accelerator.num_processes,
        "main": accelerator.is_main_process,
        "steps": checkpoint.steps if checkpoint else None,
        "history": history,
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    result = train_together(out)
    if result["main"]:
        (out / "result.json").write_text(json.dumps(result))
