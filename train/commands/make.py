"""Subcommands that make a model: prepare, fit, soup, neither, drift."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from catdog.errors import SettingsError
from catdog.settings import load_settings
from train.commands.arguments import add_data
from train.options import Distillation, FitOptions, RuleOptions, Schedule, add_options, positive, read_options


def add_prepare(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare`."""
    add = parser.add_argument
    add_data(parser, "a Hub data set or a folder")
    add("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    add("--side", type=positive, default=256, help="shorter sides are made at most this long, in pixels")
    add("--splits", type=Path, metavar="FILE", help="keep the split of an earlier model: its splits.csv")
    add("--seed", type=int, default=0, help="of the split")
    parser.set_defaults(run=_prepare)


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Options of `fit`."""
    for options in (FitOptions, Schedule, Distillation):
        add_options(parser, options)
    parser.add_argument("--outliers", metavar="DATA",
        help="pictures of other things: the model learns to say `neither`, see `neither`")  # fmt: skip
    parser.add_argument("--no-tracking", action="store_true", help="keep no record in MLflow")
    parser.set_defaults(run=_fit)


def add_soup(parser: argparse.ArgumentParser) -> None:
    """Options of `soup`."""
    add = parser.add_argument
    parser.description = (
        "Average the weights of model folders that were fitted to the same data and split from the same weights, with "
        "other options: no slower than one of them, and usually better than each. Calibrated and scored as after `fit`."
    )
    add("--model", required=True, action="append", type=Path, metavar="RUN", help="a model folder; name two or more")
    add_data(parser, "the data that they were trained with")
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
    add_options(parser, RuleOptions)
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; it stays as it is")
    add_data(parser, "the data that the model was trained with")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    parser.set_defaults(run=_neither)


def add_drift(parser: argparse.ArgumentParser) -> None:
    """Options of `drift`."""
    add = parser.add_argument
    parser.description = (
        "Store in a model folder what its validation pictures are like, so that the running app can tell when it is "
        "shown others. `fit`, `soup`, `neither` and `retrain` do this themselves."
    )
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; its metadata are changed")
    add_data(parser, "the data that the model was trained with")
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
    from train.fit import fit  # noqa: PLC0415 - torch is slow to import, and may be missing
    from train.tracking.mlflow import MlflowTracker  # noqa: PLC0415

    tracker = None if arguments.no_tracking else MlflowTracker(load_settings().mlflow_tracking_uri)
    if arguments.unlabelled and not arguments.teacher:
        raise SettingsError("--unlabelled needs --teacher: who else would say what the pictures show?")
    options = read_options(
        FitOptions,
        arguments,
        schedule=read_options(Schedule, arguments),
        distillation=read_options(Distillation, arguments) if arguments.teacher else None,
        rule=read_options(RuleOptions, arguments) if arguments.outliers else None,
    )
    print(fit(options, tracker))
    return 0


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

    options = read_options(RuleOptions, arguments)
    metrics = add_rule(arguments.model, arguments.data, options, revision=arguments.revision, out=arguments.out)
    print(json.dumps(metrics, indent=2))
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    from train.model_folder.amend import add_reference  # noqa: PLC0415 - torch is slow to import, and may be missing

    reference = add_reference(arguments.model, arguments.data, revision=arguments.revision, everything=arguments.other)
    print(f"{arguments.model}: {', '.join(reference.properties)} of {reference.n} pictures")
    return 0
