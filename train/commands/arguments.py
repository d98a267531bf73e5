"""What several subcommands share."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from catdog.errors import SettingsError
from catdog.settings import load_settings
from train.options import positive, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.data.overlay import Overlay
    from train.loop.repository import ModelRepository
    from train.network.features import Frozen
    from train.tracking.mlflow import MlflowTracker


def named_folder(text: str) -> tuple[str, Path]:
    """NAME=DIR, or DIR, whose own name it takes."""
    name, _, folder = text.rpartition("=")
    return name or Path(folder).resolve().name, Path(folder)


def add_data(parser: argparse.ArgumentParser, what: str) -> None:
    """A Hub data set, or a folder."""
    parser.add_argument("--data", required=True, help=what)
    parser.add_argument("--revision", help="branch, tag or commit of the Hub data set")


def add_frozen(parser: argparse.ArgumentParser) -> None:
    """The data, and the untouched network that looks at it."""
    add = parser.add_argument
    add_data(parser, "a Hub data set or a folder")
    add("--init", required=True, help="the network's weights: a safetensors file, or timm/NAME on the Hub")
    add("--arch", default="tf_mobilenetv3_small_100", help="timm's name of the network, for --init FILE")
    add("--img-size", type=positive, default=256, help="side of the network's input in pixels")
    add("--crop-pct", type=share, default=0.95, help="which part of the shorter side the crop takes")


def read_overlay(arguments: argparse.Namespace) -> "Overlay | None":
    """The corrected labels that were named, if any."""
    from train.data import overlay  # noqa: PLC0415

    return overlay.read_overlay(arguments.overlay) if arguments.overlay else None


def frozen(arguments: argparse.Namespace) -> "Frozen":
    """The untouched network that `add_frozen` asked for."""
    from train.network.features import Frozen  # noqa: PLC0415

    return Frozen(arguments.init, arguments.arch, arguments.img_size, arguments.crop_pct)


def open_repository(arguments: argparse.Namespace) -> "ModelRepository":
    """The model repository that was named."""
    from train.loop.repository import ModelRepository  # noqa: PLC0415

    return ModelRepository.open(arguments.repo, load_settings())


def crown(folder: Path, **tags: str) -> None:
    """Make it MLflow's champion too."""
    tell_mlflow(lambda tracker: tracker.crown(folder, tags))


def tell_mlflow(tell: "Callable[[MlflowTracker], None]") -> None:
    """Note something that is done; it stays done if MLflow cannot be told."""
    from train.tracking.mlflow import MlflowTracker  # noqa: PLC0415

    try:
        tell(MlflowTracker(load_settings().mlflow_tracking_uri))
    except SettingsError as error:
        print(f"warning: {error}", file=sys.stderr)
