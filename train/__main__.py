"""`python -m train`: fit, evaluate, publish and improve models."""

import argparse
import sys
from collections.abc import Callable, Sequence

from catdog.allocator import keep_freed_memory
from catdog.cli import add_completion, run
from catdog.errors import SettingsError
from train.commands import judge, loop, make

_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "prepare": (make.add_prepare, "copy a data set: smaller pictures, and the split beside them"),
    "fit": (make.add_fit, "fine-tune a network; the result is a complete model folder"),
    "soup": (make.add_soup, "average the weights of several fits into one better model"),
    "neither": (make.add_neither, "teach a model to say that a picture shows none of its labels"),
    "drift": (make.add_drift, "store in a model folder what its pictures are like"),
    "evaluate": (judge.add_evaluate, "metrics of a model folder as JSON, or a whole report"),
    "audit": (judge.add_audit, "what is wrong with a data set: duplicates and likely wrong labels"),
    "baseline": (judge.add_baseline, "simple models and finished ones in one table"),
    "retrain": (loop.add_retrain, "improve a model by accepted feedback; the gate decides"),
    "watch": (loop.add_watch, "retrain and publish whenever enough new feedback is there"),
    "publish": (loop.add_publish, "make a model folder the next revision on the Hub"),
    "card": (judge.add_card, "put what an evaluation found into a copy of a model folder"),
    "promote": (loop.add_promote, "make a run the embedded model, and MLflow's champion"),
    "rollback": (loop.add_rollback, "bring an earlier revision back"),
}
"""What adds the options of each, and what it is for."""
_PACKAGES = {
    "accelerate", "cleanlab", "datasets", "jinja2", "matplotlib", "mlflow", "onnx", "onnxscript", "safetensors",
    "scipy", "sklearn", "timm", "torch", "torchvision", "tqdm",
}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run one subcommand."""
    arguments = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        return int(arguments.run(arguments))
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in _PACKAGES:
            raise
        raise SettingsError(
            f"Training needs the package {error.name}, which is not installed: "
            "`pip install -r requirements-train.txt` brings it."
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train and score image classifiers.")
    add_completion(parser, "catdog-train")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (add, purpose) in _COMMANDS.items():
        add(commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."))
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
