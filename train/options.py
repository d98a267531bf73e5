"""What training can be told: each option once, with its default, its help, and the values that are allowed.

Commands offer the fields that are made by `option`; Python code sets any of them. Nothing here needs torch, so that
`--help` is quick.
"""

import argparse
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from catdog.errors import SettingsError

FINETUNE = "finetune"
PROBE = "probe"
RANDOM = "random"
"""Instead of starting weights."""
_OPTION = "option"
_Options = TypeVar("_Options")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = above_zero(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text} is not at most 1")
    return value


def names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def option(help: str, default: Any = MISSING, *, flag: str = "", **how: Any) -> Any:  # noqa: A002 - argparse's name
    """A field that commands offer.

    Args:
        help: What it does.
        default: Its value where it is not given; none makes it required, False a switch.
        flag: Its name on the command line, if that is not the field's.
        how: More for `add_argument`, such as `type`.
    """
    return field(default=default, metadata={_OPTION: (flag, {"help": help, **how})})


def add_options(parser: argparse.ArgumentParser, options: type) -> None:
    """Offer a dataclass's options."""
    for _, flag, default, how in _offered(options):
        if default is MISSING:
            parser.add_argument(flag, required=True, **how)
        elif default is False:
            parser.add_argument(flag, action="store_true", **how)
        else:
            shown = "" if default in {None, "", ()} else " (default: %(default)s)"
            parser.add_argument(flag, default=default, **{**how, "help": how["help"] + shown})


def read_options(options: type[_Options], arguments: argparse.Namespace, **others: Any) -> _Options:
    """The dataclass of what was given; fields that this command does not offer keep their default.

    Args:
        options: The dataclass.
        arguments: What argparse found.
        others: Fields that are not options.
    """
    found = {name: flag.removeprefix("--").replace("-", "_") for name, flag, *_ in _offered(options)}
    given = {name: getattr(arguments, attribute) for name, attribute in found.items() if attribute in arguments}
    return options(**given, **others)


def _offered(options: type) -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    """Name, flag, default and argparse's words of each field that is an option."""
    for each in fields(options):
        if _OPTION in each.metadata:
            flag, how = each.metadata[_OPTION]
            yield each.name, flag or f"--{each.name.replace('_', '-')}", each.default, how


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far pictures are changed. Shares are of pictures unless said otherwise."""

    area: tuple[float, float] = (0.35, 1.0)
    """The crop's share of the picture."""
    ratio: tuple[float, float] = (0.6, 1.6)
    """Width by height of the crop before it is squeezed to a square: wide enough that squeezed pictures and natural
    ones both look familiar."""
    degrees: float = 12.0
    """Rotation to either side."""
    shear: float = 0.1
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    grey: float = 0.05
    """Share turned black-and-white."""
    coarse: float = 0.1
    """Share whose detail is thrown away, as in small or badly compressed pictures."""
    mixup: float = 0.2
    """Parameter of mixup's beta distribution; 0 mixes nothing."""
    mix_share: float = 0.0
    """Share of batches that are mixed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a whole network is trained."""

    epochs: int = option("passes over the training pictures", 5, type=positive)
    batch_size: int = option("pictures per step and device", 64, type=positive)
    accumulate: int = option("batches per step of the optimiser", 1, type=positive)
    # Starting from ImageNet, larger ones forget more than a few epochs win back.
    rate: float = option("peak learning rate of the head; the body has three quarters of it", 2e-4, type=above_zero)
    # Crops enlarge, so objects look equally large in smaller ones (Touvron et al. 2019, arXiv:1906.06423).
    train_size: int = option("side of the training crops; smaller than --img-size is right", 192, type=positive)
    size_steps: int = option("vary the crops' side by up to so many times 16 pixels to either side", 0, type=int)
    average_decay: float = option("of the moving average of the weights, per step", 0.995, type=share)
    seed: int = option("of all random choices", 0, type=int)
    body_factor: float = 0.75
    """The body's rate relative to the head's."""
    weight_decay: float = 0.02
    warmup: float = 0.05
    """Share of all steps."""
    smoothing: float = 0.0
    """Of the labels."""
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, slots=True)
class Distillation:
    """Who teaches, and how much its word counts."""

    teacher: str = option(
        "learn from a larger frozen network too: a safetensors file, timm/NAME on the Hub, or a finished run",
        "", metavar="WEIGHTS",
    )  # fmt: skip
    architecture: str = option(
        "timm's name of the teacher, for --teacher FILE", "tf_efficientnet_lite2", flag="--teacher-arch"
    )
    side: int = option("side of what the teacher sees, in pixels", 192, flag="--teacher-size", type=positive)
    views: int = option("fixed views of each picture that the teacher judges", 5, type=positive)
    unlabelled: str | None = option(
        "with --teacher: also learn what it says of pictures without labels", None, metavar="DATA"
    )
    share: float = 0.7
    """The teacher's share of the target, beside the label's."""
    classes_weight: float = 0.3
    """Of the loss on the teacher's own classes, such as ImageNet's; keeps what the student knows beyond the labels.
    Falls linearly from epoch to epoch, almost to zero."""
    doubt: float = 0.01
    """Where the teacher gives a label less than this, the label is wrong, and only the teacher counts."""


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """How the rule for `neither` is made."""

    outliers: str = option(
        "a Hub data set or folder of pictures of other things; a column `name`, or sub-folders, say their kinds",
        metavar="DATA",
    )
    init: str = option(
        "weights of the model's architecture that know many kinds of things, as those it was fine-tuned from: "
        "a safetensors file, or timm/NAME on the Hub"
    )
    near: tuple[str, ...] | None = option(
        "kinds whose rates are reported apart; animals by default", None, type=names, metavar="KIND,KIND"
    )
    seed: int = option("of all random choices", 0, type=int)
    revision: str | None = None
    """Of `outliers`."""
    own: int = 4000
    """So many training pictures of the labels are enough."""
    own_crops: int = 1
    other_crops: int = 3
    strength: float = 0.1
    """Of the head's weight decay."""

    def __post_init__(self) -> None:
        if self.init == RANDOM:
            raise SettingsError(
                "The rule for `neither` cannot start from random weights, which know nothing of other things. Name "
                "weights that were trained on many kinds, such as ImageNet's, with --init."
            )


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What `python -m train fit` is asked to do."""

    data: str = option("a Hub data set, or a folder: Parquet, or a sub-folder of pictures per label")
    init: str = option("starting weights: a safetensors file, timm/NAME on the Hub, or `random`")
    out: Path = option("the model folder to make", type=Path)
    revision: str | None = option("branch, tag or commit of the Hub data set", None)
    recipe: str = option("probe: only a linear head, in minutes", FINETUNE, choices=[FINETUNE, PROBE])
    architecture: str = option(
        "timm's name of the network, for --init FILE or random", "tf_mobilenetv3_small_100", flag="--arch"
    )
    img_size: int = option("side of the network's input in pixels", 256, type=positive)
    crop_pct: float = option("which part of the shorter side the crop takes", 0.95, type=share)
    positive_label: str | None = option("the label whose probability `probability` is; of two labels the second", None)
    splits: Path | None = option("keep the split of an earlier model: its splits.csv", None, type=Path, metavar="FILE")
    # The test split stays as it is.
    overlay: Path | None = option("corrected labels: train and validate with them", None, type=Path, metavar="FILE")
    balanced: bool = option("let every label count the same, however many pictures it has", False)
    patience: int = option(
        "stop after so many epochs without a better one on validation; 0 never does", 4, type=int, metavar="N"
    )
    precision: str = option("mixed precision; pays on a GPU", "no", choices=["no", "fp16", "bf16"])
    license: str | None = option(
        "of the weights, for the model card, as the Hub spells it: apache-2.0", None, metavar="NAME"
    )
    resume: bool = option("go on with an interrupted run, if there is one", False)
    schedule: Schedule = field(default_factory=Schedule)
    rule: RuleOptions | None = None
    """How to learn when to say "neither"; None is never."""
    distillation: Distillation | None = None
    """The teacher; None is none."""

    @property
    def work(self) -> Path:
        """Where checkpoints are, and where the model folder is made before it gets its name."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoint and the metrics per epoch."""
        return self.work / "checkpoints"
