"""Subcommands that make a model: prepare, fit, soup, neither, drift."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from catdog.errors import SettingsError
from catdog.settings import load_settings
from train.commands.arguments import (
    above_zero,
    names,
    positive,
    share,
)

if TYPE_CHECKING:
    from train.network.distill import Distillation
    from train.ood.rejection import RuleOptions


def add_prepare(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare`."""
    add = parser.add_argument
    add("--data", required=True, help="a Hub data set or a folder")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    add("--side", type=positive, default=256, help="shorter sides are made at most this long, in pixels")
    add("--splits", type=Path, metavar="FILE", help="keep the split of an earlier model: its splits.csv")
    add("--seed", type=int, default=0, help="of the split")
    parser.set_defaults(run=_prepare)


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Options of `fit`."""
    add = parser.add_argument
    add("--data", required=True, help="a Hub data set, or a folder: Parquet, or a sub-folder of pictures per label")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--init", required=True, help="starting weights: a safetensors file, timm/NAME on the Hub, or `random`")
    add("--out", required=True, type=Path, help="the model folder to make")
    add("--recipe", choices=["finetune", "probe"], default="finetune", help="probe: only a linear head, in minutes")
    add("--epochs", type=positive, default=5, help="passes over the training pictures (default: %(default)s)")
    add("--batch-size", type=positive, default=64, help="pictures per step and device")
    add("--accumulate", type=positive, default=1, help="batches per step of the optimiser")
    add(
        "--rate",
        type=above_zero,
        default=2e-4,
        help="peak learning rate of the head; the body has three quarters of it",
    )
    add("--train-size", type=positive, default=192, help="side of the training crops; smaller than --img-size is right")
    add(
        "--size-steps", type=int, default=0, help="vary the crops' side by up to so many times 16 pixels to either side"
    )
    add("--average-decay", type=share, default=0.995, help="of the moving average of the weights, per step")
    add(
        "--teacher",
        metavar="WEIGHTS",
        help="learn from a larger frozen network too: a safetensors file, timm/NAME on the Hub, or a finished run",
    )
    add("--teacher-arch", default="tf_efficientnet_lite2", help="timm's name of the teacher, for --teacher FILE")
    add("--teacher-size", type=positive, default=192, help="side of what the teacher sees, in pixels")
    add("--views", type=positive, default=5, help="fixed views of each picture that the teacher judges")
    add("--unlabelled", metavar="DATA", help="with --teacher: also learn what it says of pictures without labels")
    add("--precision", choices=["no", "fp16", "bf16"], default="no", help="mixed precision; pays on a GPU")
    add("--resume", action="store_true", help="go on with an interrupted run, if there is one")
    add("--no-tracking", action="store_true", help="keep no record in MLflow")
    add("--arch", default="tf_mobilenetv3_small_100", help="timm's name of the network, for --init FILE or random")
    add("--img-size", type=positive, default=256, help="side of the network's input in pixels")
    add("--crop-pct", type=share, default=0.95, help="which part of the shorter side the crop takes")
    add("--splits", type=Path, metavar="FILE", help="keep the split of an earlier model: its splits.csv")
    add("--overlay", type=Path, metavar="FILE", help="corrected labels: train and validate with them")
    add("--positive-label", help="the label whose probability `probability` is; of two labels the second")
    add("--outliers", metavar="DATA", help="pictures of other things: the model learns to say `neither`, see `neither`")
    add("--seed", type=int, default=0, help="of all random choices (default: %(default)s)")
    parser.set_defaults(run=_fit)


def add_soup(parser: argparse.ArgumentParser) -> None:
    """Options of `soup`."""
    add = parser.add_argument
    parser.description = (
        "Average the weights of model folders that were fitted to the same data and split from the same weights, with "
        "other options: no slower than one of them, and usually better than each. Calibrated and scored as after `fit`."
    )
    add("--model", required=True, action="append", type=Path, metavar="RUN", help="a model folder; name two or more")
    add("--data", required=True, help="the data that they were trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--choose-share", action="store_true",
        help="let validation choose how much the last one counts beside the mean of the others; by default all count "
        "the same")  # fmt: skip
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    parser.set_defaults(run=_soup)


def add_neither(parser: argparse.ArgumentParser) -> None:
    """Options of `neither`."""
    add = parser.add_argument
    parser.description = (
        "Add to a model folder the rule that says `neither`: a second branch in its ONNX file, which still knows what "
        "the weights knew that the model was fine-tuned from, with a head that learns from pictures of other things, "
        "and a threshold. The rates on kinds that it had not seen are on stdout, and in the new folder's card."
    )
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; it stays as it is")
    add("--data", required=True, help="the data that the model was trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--outliers", required=True, metavar="DATA",
        help="a Hub data set or folder of pictures of other things; a column `name`, or sub-folders, say their "
        "kinds")  # fmt: skip
    add("--init", required=True, help="weights of the model's architecture that know many kinds of things, as those it "
        "was fine-tuned from: a safetensors file, or timm/NAME on the Hub")  # fmt: skip
    add("--near", type=names, metavar="KIND,KIND", help="kinds whose rates are reported apart (animals)")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    add("--seed", type=int, default=0, help="of all random choices (default: %(default)s)")
    parser.set_defaults(run=_neither)


def add_drift(parser: argparse.ArgumentParser) -> None:
    """Options of `drift`."""
    add = parser.add_argument
    parser.description = (
        "Store in a model folder what its validation pictures are like, so that the running app can tell when it is "
        "shown others. `fit`, `soup`, `neither` and `retrain` do this themselves."
    )
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; its metadata are changed")
    add("--data", required=True, help="the data that the model was trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--other", action="store_true", help="the data are others: half of their pictures are the reference")
    parser.set_defaults(run=_drift)


def _prepare(arguments: argparse.Namespace) -> int:
    from train.data.prepare import prepare  # noqa: PLC0415

    done = prepare(
        arguments.data,
        arguments.out,
        revision=arguments.revision,
        side=arguments.side,
        seed=arguments.seed,
        splits=arguments.splits,
    )
    print(json.dumps(asdict(done), indent=2))
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    from train.fit import FitOptions, fit  # noqa: PLC0415 - torch is slow to import, and may be missing
    from train.network.finetune import Schedule  # noqa: PLC0415
    from train.tracking.mlflow import MlflowTracker  # noqa: PLC0415

    tracker = None if arguments.no_tracking else MlflowTracker(load_settings().mlflow_tracking_uri)
    folder = fit(
        FitOptions(
            data=arguments.data,
            revision=arguments.revision,
            init=arguments.init,
            out=arguments.out,
            recipe=arguments.recipe,
            architecture=arguments.arch,
            img_size=arguments.img_size,
            crop_pct=arguments.crop_pct,
            positive_label=arguments.positive_label,
            splits=arguments.splits,
            overlay=arguments.overlay,
            rule=_rule_options(arguments) if arguments.outliers else None,
            precision=arguments.precision,
            resume=arguments.resume,
            distillation=_distillation(arguments),
            schedule=Schedule(
                epochs=arguments.epochs,
                batch_size=arguments.batch_size,
                accumulate=arguments.accumulate,
                rate=arguments.rate,
                train_size=arguments.train_size,
                size_steps=arguments.size_steps,
                average_decay=arguments.average_decay,
                seed=arguments.seed,
            ),
        ),
        tracker,
    )
    print(folder)
    return 0


def _distillation(arguments: argparse.Namespace) -> "Distillation | None":
    from train.network.distill import Distillation  # noqa: PLC0415

    if not arguments.teacher:
        if arguments.unlabelled:
            raise SettingsError("--unlabelled needs --teacher: who else would say what the pictures show?")
        return None
    return Distillation(
        arguments.teacher,
        arguments.teacher_arch,
        side=arguments.teacher_size,
        views=arguments.views,
        unlabelled=arguments.unlabelled,
    )


def _rule_options(arguments: argparse.Namespace) -> "RuleOptions":
    from train.ood.rejection import RuleOptions  # noqa: PLC0415

    options = RuleOptions(outliers=arguments.outliers, init=arguments.init, seed=arguments.seed)
    near = getattr(arguments, "near", None)
    return replace(options, near=near) if near else options


def _soup(arguments: argparse.Namespace) -> int:
    from train.soup import soup  # noqa: PLC0415 - torch is slow to import, and may be missing

    print(
        soup(
            arguments.model,
            arguments.data,
            revision=arguments.revision,
            out=arguments.out,
            choose_share=arguments.choose_share,
        )
    )
    return 0


def _neither(arguments: argparse.Namespace) -> int:
    from train.model_folder.amend import add_rule  # noqa: PLC0415 - torch is slow to import, and may be missing

    options = _rule_options(arguments)
    metrics = add_rule(arguments.model, arguments.data, options, revision=arguments.revision, out=arguments.out)
    print(json.dumps(metrics, indent=2))
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    from train.model_folder.amend import add_reference  # noqa: PLC0415 - torch is slow to import, and may be missing

    reference = add_reference(arguments.model, arguments.data, revision=arguments.revision, everything=arguments.other)
    print(f"{arguments.model}: {', '.join(reference.properties)} of {reference.n} pictures")
    return 0
