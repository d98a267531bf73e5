"""Subcommands that judge data and models: evaluate, audit, baseline, card."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catdog.errors import SettingsError
from train.commands.arguments import add_data, add_frozen, frozen, named_folder, read_overlay, tell_mlflow
from train.options import positive

if TYPE_CHECKING:
    from train.evaluation.evaluate import Answered


RESERVED_METRICS = ("train", "validation", "test", "test_clean", "stored", "neither", "report", "comparison")


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    add = parser.add_argument
    add("--model", required=True, type=Path, help="a model folder")
    add_data(parser, "a Hub data set or a folder")
    add("--split", choices=["unseen", "test", "validation", "train", "all"], default="unseen",
        help="unseen: pictures that the model was not made with (of its own data set: the test split)")  # fmt: skip
    add("--overlay", type=Path, metavar="FILE", help="corrected labels: score with them too, side by side")
    add("--out", type=Path, help="also write the JSON here")
    add("--report", type=Path, metavar="DIR",
        help="write a report to look at: plots, kinds of picture, worst mistakes; not for the repository")  # fmt: skip
    add("--update-card", action="store_true", help="with --report: put its plots into the model folder and its card")
    add("--card-as", metavar="NAME", help="put the figures into the model folder and its card, under this name")
    add("--looked-at", type=positive, metavar="N", default=1,
        help="with --card-as: how often figures of these pictures were seen while the model was made")  # fmt: skip
    add("--no-tracking", action="store_true", help="with --report: keep no plots in MLflow, with the model's run")
    parser.set_defaults(run=_evaluate)


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Options of `audit`."""
    add = parser.add_argument
    parser.description = (
        "Look for unreadable files, copies, and labels that are probably wrong. Nothing is changed: look at "
        "suspects.html, and write what you see into an overlay for `fit` and `evaluate`."
    )
    add_frozen(parser)
    add("--out", required=True, type=Path, metavar="DIR", help="for the lists and the page; holds pictures")
    add("--overlay", type=Path, metavar="FILE", help="what was seen so far: gives the precision of the first 50")
    parser.set_defaults(run=_audit)


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """Options of `baseline`."""
    add = parser.add_argument
    parser.description = (
        "Compare logistic regression on pixels, a linear head on the untouched network, and finished models, all on "
        "test pictures that none was made with. The table is on stdout and in DIR."
    )
    add_frozen(parser)
    add("--out", required=True, type=Path, metavar="DIR", help="for comparison.json and comparison.md; made anew")
    add("--model", action="append", default=[], type=named_folder, metavar="[NAME=]DIR",
        help="a finished model folder; may be repeated, and each row shows its gain over the one above")  # fmt: skip
    add("--seed", type=int, default=0, help="of all random choices (default: %(default)s)")
    add("--update-card", action="store_true", help="put the table into the last model's folder and card")
    parser.set_defaults(run=_baseline)


def add_card(parser: argparse.ArgumentParser) -> None:
    """Options of `card`."""
    add = parser.add_argument
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; it stays as it is")
    add("--report", required=True, type=Path, metavar="DIR", help="what `evaluate --report` made for it")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    parser.set_defaults(run=_card)


def _evaluate(arguments: argparse.Namespace) -> int:
    from train.evaluation.evaluate import answer  # noqa: PLC0415 - datasets is slow to import, and may be missing

    if arguments.update_card and not arguments.report:
        raise SettingsError("--update-card needs --report DIR, where the plots are made.")
    if arguments.card_as in RESERVED_METRICS:
        raise SettingsError(f"--card-as {arguments.card_as}: the model folder has figures of that name already.")
    answered = answer(
        arguments.model,
        arguments.data,
        revision=arguments.revision,
        split=arguments.split,
        overlay=read_overlay(arguments),
    )
    figures = answered.as_dict()
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.out:
        try:
            arguments.out.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"--out {arguments.out} cannot be written: {error.strerror}.") from None
    if arguments.report:
        _write_report(answered, arguments)
    if arguments.card_as:
        _note(figures, arguments)
    return 0


def _note(figures: dict[str, Any], arguments: argparse.Namespace) -> None:
    """The figures beside those of the model's own splits."""
    from train.model_folder.amend import amend_model_folder  # noqa: PLC0415

    noted = {name: value for name, value in figures.items() if name not in ("model_id", "model_revision", "labels")}
    amend_model_folder(arguments.model, {arguments.card_as: {**noted, "looked_at": arguments.looked_at}})


def _write_report(answered: "Answered", arguments: argparse.Namespace) -> None:
    from train.evaluation.report import write_report  # noqa: PLC0415
    from train.model_folder.amend import add_report  # noqa: PLC0415

    report = write_report(answered, arguments.report)
    if not arguments.no_tracking:
        data = Path(answered.source.title).name
        tell_mlflow(lambda tracker: tracker.add_report(arguments.model, arguments.report, data=data))
    if arguments.update_card:
        add_report(arguments.model, arguments.report, report)


def _audit(arguments: argparse.Namespace) -> int:
    from train.evaluation.audit import audit  # noqa: PLC0415

    overlay = read_overlay(arguments)
    found = audit(arguments.data, frozen(arguments), arguments.out, revision=arguments.revision, overlay=overlay)
    print(json.dumps(found, indent=2))
    return 0


def _baseline(arguments: argparse.Namespace) -> int:
    from train.baseline import BaselineOptions, baseline, put_into_card  # noqa: PLC0415
    from train.evaluation.comparison import as_markdown  # noqa: PLC0415

    if arguments.update_card and not arguments.model:
        raise SettingsError("--update-card needs --model DIR: it is that one's card.")
    models = dict(arguments.model)
    if len(models) < len(arguments.model):
        raise SettingsError("Two --model have the same name. Give them names: --model NAME=DIR.")
    report = baseline(
        BaselineOptions(
            data=arguments.data,
            frozen=frozen(arguments),
            out=arguments.out,
            revision=arguments.revision,
            seed=arguments.seed,
            models=models,
        )
    )
    print(as_markdown(report["rows"]), end="")
    if arguments.update_card:
        put_into_card(arguments.model[-1][1], report)
    return 0


def _card(arguments: argparse.Namespace) -> int:
    from train.model_folder.amend import release  # noqa: PLC0415

    release(arguments.model, arguments.report, arguments.out)
    print(arguments.out)
    return 0
