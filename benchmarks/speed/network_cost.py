"""What the rule for "neither" costs: `python -m benchmarks.speed.network_cost`, on a machine that does nothing else.

The embedded network with the rule against the plain classifier of the same file, in turns, one picture at a time on one
thread; CPU time of that thread, so that other work disturbs little.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.harness.report import spread
from catdog.model.metadata import ONNX_FILE, load_metadata
from catdog.model.network import INPUT
from catdog.model.onnx_graph import cut
from catdog.settings import EMBEDDED_MODEL

PLAIN, WHOLE = "logits alone", "logits, features and neither_score"
_OUTPUTS = {PLAIN: ["logits"], WHOLE: ["logits", "features", "neither_score"]}
_CALLS = 5


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    side = load_metadata(arguments.model).preprocessing.input_size
    pixels = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    seconds = measure((arguments.model / ONNX_FILE).read_bytes(), pixels, rounds=arguments.rounds)
    for name, each in seconds.items():
        print(f"{name}: {spread([1000 * value for value in each], 2)} ms")
    ratios = [whole / plain for whole, plain in zip(seconds[WHOLE], seconds[PLAIN], strict=True)]
    print(f"ratio: {statistics.median(ratios):.2f} (of {len(ratios)} turns 80 % are within "
          f"{np.quantile(ratios, 0.1):.2f} and {np.quantile(ratios, 0.9):.2f})")  # fmt: skip


def measure(network: bytes, pixels: np.ndarray, *, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU for one call, by what is asked for."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: ort.InferenceSession(cut(network, outputs), options, providers=["CPUExecutionProvider"])
        for name, outputs in _OUTPUTS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            session.run(None, {INPUT: pixels})  # the other's data are in the caches
            started = time.thread_time()
            for _ in range(_CALLS):
                session.run(None, {INPUT: pixels})
            seconds[name].append((time.thread_time() - started) / _CALLS)
    return seconds


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the rule for `neither` costs.")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="a model folder with the rule")
    parser.add_argument("--rounds", type=int, default=100)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
