"""How fast is fine-tuning? `python -m benchmarks.speed.training_speed --data DIR`, on a machine that does nothing else.

Our loop against a loop of timm's own parts: `create_loader` with its transforms and worker processes, its AdamW, and
the plain training step. Same network, picture size, batch and pictures, on the same cores, in turns, so that what
disturbs one disturbs the other; each in a process of its own, ours with the allocator as `python -m train` sets it.
timm's side has the pictures' bytes in memory already, keeps no moving average of the weights and measures no accuracy,
all of which ours does within its time.

Ours decodes each picture once, not once an epoch. The second ratio charges it for that, over `--epochs` epochs.
"""

import argparse
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from catdog.allocator import keep_freed_memory
from catdog.model.metadata import Preprocessing
from train.data.examples import Examples, read_examples
from train.data.source import Source, open_source, source_of
from train.network.create import create_network, preprocessing, timm
from train.network.finetune import TrainingSet, create_accelerator, finetune
from train.options import Schedule

_OURS, _TIMM = "ours", "timm"
_READY: list[Callable[[], float]] = []
"""What `begin` made ready in this process."""
SIZE = 200
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Setup:
    """What both sides share."""

    architecture: str
    side: int
    batch_size: int
    pictures: int
    workers: int
    threads: int

    @property
    def seen(self) -> int:
        """Pictures an epoch: whole batches."""
        return self.pictures // self.batch_size * self.batch_size


class Encoded(Dataset[tuple[Image.Image, int]]):
    """Encoded pictures in memory; `create_loader` sets `transform`."""

    def __init__(self, source: Source, count: int) -> None:
        self.rows = [row for batch in source.batches(range(count)) for row in batch]
        self.transform: Callable[[Image.Image], object] = lambda image: image

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[object, int]:  # type: ignore[override]
        row = self.rows[index]
        image = Image.open(io.BytesIO(row.data or b"")).convert("RGB")
        return self.transform(image), row.label or 0


def main() -> None:
    arguments = parse()
    setup = Setup(
        arguments.arch, arguments.side, arguments.batch_size, arguments.pictures, arguments.workers, arguments.threads
    )
    seconds: dict[str, list[float]] = {_OURS: [], _TIMM: []}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
            for name in seconds
        }
        decoding_s, _ = (pool.submit(begin, name, arguments.data, setup).result() for name, pool in processes.items())
        for number in range(arguments.rounds + 1):  # the first one warms up
            for name, pool in processes.items():
                seconds[name].append(pool.submit(epoch).result())
                print(f"round {number}: {name} {setup.seen / seconds[name][-1]:.1f} pictures/s", flush=True)
    print(json.dumps(summary(setup, {name: each[1:] for name, each in seconds.items()}, decoding_s, arguments.epochs)))


def begin(name: str, data: str | None, setup: Setup) -> float:
    """Make a process ready for the epochs of one side; returns the seconds that decoding all pictures took."""
    torch.set_num_threads(setup.threads)
    source = open_source(data) if data else generated(setup.pictures)
    source = source.subset(range(setup.pictures))
    if name == _TIMM:
        loader = timm_loader(source, setup)
        _READY.append(lambda: timm_epoch(loader, setup))
        return 0.0
    keep_freed_memory()
    started = time.perf_counter()
    examples = read_examples(source, side=round(1.15 * setup.side))
    decoding_s = time.perf_counter() - started
    _READY.append(lambda: our_epoch(examples, setup))
    return decoding_s


def epoch() -> float:
    """Seconds of one epoch of the side that this process is ready for."""
    return _READY[0]()


def summary(setup: Setup, seconds: dict[str, list[float]], decoding_s: float, epochs: int) -> dict[str, object]:
    """Medians, and how many times faster ours is."""
    ours, theirs = statistics.median(seconds[_OURS]), statistics.median(seconds[_TIMM])
    return {
        "architecture": setup.architecture,
        "side": setup.side,
        "batch_size": setup.batch_size,
        "pictures": setup.seen,
        "threads": setup.threads,
        "workers": setup.workers,
        "rounds": len(seconds[_OURS]),
        "ours_pictures_per_s": round(setup.seen / ours, 1),
        "timm_pictures_per_s": round(setup.seen / theirs, 1),
        "ratio": round(theirs / ours, 2),
        "ratio_by_round": [round(t / o, 2) for o, t in zip(seconds[_OURS], seconds[_TIMM], strict=True)],
        "decoding_s": round(decoding_s, 1),
        f"ratio_with_decoding_over_{epochs}_epochs": round(epochs * theirs / (epochs * ours + decoding_s), 2),
    }


def our_epoch(examples: Examples, setup: Setup) -> float:
    """Seconds of `finetune` for one epoch, with its checkpoint and without validation."""
    network, spec = fresh(setup)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = TrainingSet(examples.squares, examples.aspects, examples.labels, np.arange(len(examples)))
    nothing = np.zeros((2, len(examples.source.labels)), dtype=np.float32), np.arange(2)
    schedule = Schedule(epochs=1, batch_size=setup.batch_size, train_size=setup.side)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        finetune(
            network, training, lambda _: nothing, spec, schedule,
            accelerator=create_accelerator(), folder=Path(folder), options="{}",
        )  # fmt: skip
        return time.perf_counter() - started


def timm_loader(source: Source, setup: Setup) -> "DataLoader[tuple[torch.Tensor, torch.Tensor]]":
    """The loader of timm, with its default augmentation for training."""
    _, spec = fresh(setup)
    loader: DataLoader[tuple[torch.Tensor, torch.Tensor]] = timm.data.create_loader(
        Encoded(source, setup.pictures), input_size=setup.side, batch_size=setup.batch_size, is_training=True,
        mean=spec.mean, std=spec.std, interpolation="random", num_workers=setup.workers,
        persistent_workers=setup.workers > 0, device=torch.device("cpu"),
    )  # fmt: skip
    return loader


def timm_epoch(loader: "DataLoader[tuple[torch.Tensor, torch.Tensor]]", setup: Setup) -> float:
    """Seconds of one epoch."""
    from timm.optim import create_optimizer_v2  # noqa: PLC0415 - after `train.network.create` made timm importable

    network, _ = fresh(setup)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=2e-4, weight_decay=0.02)
    network.train()
    started = time.perf_counter()
    seen = 0
    for images, labels in loader:
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(labels)
    if seen != setup.seen:
        raise SystemExit(f"timm saw {seen} pictures, not {setup.seen}")
    return time.perf_counter() - started


def fresh(setup: Setup) -> tuple[nn.Module, Preprocessing]:
    """The network with random weights: they are as fast as any."""
    network = create_network(setup.architecture, labels=2, init="random")
    return network, preprocessing(network, input_size=setup.side, crop_pct=1.0)


def generated(count: int) -> Source:
    """Pictures about as heavy as photos: smooth shapes with noise."""
    generator = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (10, 10, 3), dtype=np.uint8)).resize((SIZE, SIZE))
        noisy = np.asarray(coarse, dtype=np.int16) + generator.integers(-20, 21, (SIZE, SIZE, 3))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=JPEG_QUALITY)
        pictures.append(file.getvalue())
    return source_of("generated", pictures, [index % 2 for index in range(count)], ("one", "other"))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of fine-tuning against a loop of timm's parts.")
    add = parser.add_argument
    add("--data", help="a data set; generated pictures of 200 x 200 if left out")
    add("--pictures", type=int, default=1024, help="so many of it, all readable (%(default)s)")
    add("--arch", default="tf_mobilenetv3_small_100")
    add("--side", type=int, default=192, help="of the training crops (%(default)s)")
    add("--batch-size", type=int, default=64)
    add("--rounds", type=int, default=5)
    add("--workers", type=int, default=2, help="timm's worker processes (%(default)s)")
    add("--threads", type=int, default=2, help="of torch, on both sides (%(default)s)")
    add("--epochs", type=int, default=5, help="over which the decoding is spread (%(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
