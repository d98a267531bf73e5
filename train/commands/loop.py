"""Subcommands of the loop: retrain, watch, publish, promote, rollback."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catdog.errors import GateRefusedError
from catdog.settings import EMBEDDED_MODEL, load_settings
from train.commands.arguments import add_data, crown, open_repository
from train.options import above_zero, positive

if TYPE_CHECKING:
    from catdog.model.metadata import Metadata
    from train.loop.retrain import Retrained


def add_retrain(parser: argparse.ArgumentParser) -> None:
    """Options of `retrain`."""
    add = parser.add_argument
    parser.description = (
        "Train a challenger from a model and accepted feedback, and compare it with that model. Exit code 3 if the "
        "gate refuses it; the report is on stdout and in RUN/gate.json."
    )
    _add_retrain_inputs(parser)
    add("--base", required=True, help="the model to improve: a folder, or USER/NAME or USER/NAME@REVISION on the Hub")
    add("--out", required=True, type=Path, metavar="RUN", help="the model folder to make")
    add("--publish", metavar="REPO", help="the repository to publish to, if the gate accepts")
    parser.set_defaults(run=_retrain)


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Options of `watch`."""
    add = parser.add_argument
    parser.description = (
        "Look whether enough accepted feedback is there that the live model was not made with; then retrain and, if "
        "the gate accepts, publish. What was rolled back or refused is not tried again with the same rows."
    )
    _add_retrain_inputs(parser)
    add("--repo", required=True, help="the model repository, USER/NAME")
    add("--min-new", type=int, default=100, metavar="N", help="so many new rows start a training (%(default)s)")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="the challengers' folder (%(default)s)")
    add("--once", action="store_true", help="look once and end; exit code 3 if the gate refused")
    add("--every", type=float, default=3600.0, metavar="SECONDS", help="else: between two looks (%(default)s)")
    parser.set_defaults(run=_watch)


def _add_retrain_inputs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_data(parser, "the data that the model was first trained with")
    add("--feedback", required=True, help="the folder that `python -m feedback export` wrote, or the Hub data set")
    add("--full", action="store_true", help="train the whole network on pixels instead of the head on cached "
        "features: seven trainings of minutes each")  # fmt: skip
    add("--epochs", type=positive, help="how often each answer is seen")
    add("--batch-size", type=positive, help="pictures per step")
    add("--rate", type=above_zero, help="peak learning rate; with --full the head's, and the body has half of it")
    add("--seed", type=int, default=0, help="of all random choices (default: %(default)s)")


def add_publish(parser: argparse.ArgumentParser) -> None:
    """Options of `publish`."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="a model folder")
    parser.add_argument("--repo", required=True, help="the model repository, USER/NAME; created if need be")
    parser.add_argument("--private", action="store_true", help="create it as private")
    _add_allow_change(parser)
    parser.set_defaults(run=_publish)


def add_promote(parser: argparse.ArgumentParser) -> None:
    """Options of `promote`."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="a model folder")
    parser.add_argument("--to", type=Path, default=EMBEDDED_MODEL, metavar="DIR", help="the folder to replace (model)")
    _add_allow_change(parser)
    parser.set_defaults(run=_promote)


def _add_allow_change(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="replace the present model even by one with other labels, another input or a worse test score",
    )


def add_rollback(parser: argparse.ArgumentParser) -> None:
    """Options of `rollback`."""
    parser.add_argument("--repo", required=True, help="the model repository, USER/NAME")
    parser.add_argument("--to", required=True, metavar="TAG", help="the tag whose files `main` is to have again")
    parser.add_argument("--reason", default="rolled back by hand", help="noted beside the revision that is taken back")
    parser.set_defaults(run=_rollback)


def _retrain(arguments: argparse.Namespace) -> int:
    from train.loop.retrain import RetrainOptions, retrain  # noqa: PLC0415

    options = RetrainOptions(
        data=arguments.data,
        revision=arguments.revision,
        feedback=arguments.feedback,
        base=arguments.base,
        out=arguments.out,
        publish=arguments.publish,
        **_schedules(arguments),
    )
    _report(retrain(options, load_settings()))
    return 0


def _report(done: "Retrained") -> None:
    print(done.report.as_text())
    if not done.report.accepted:
        raise GateRefusedError(f"The gate refused {done.folder}: {'; '.join(done.report.reasons)}.")
    if done.published:
        crown(done.folder, published=done.published.tag)
        print(f"published as {done.published.tag}, commit {done.published.commit}")


def _watch(arguments: argparse.Namespace) -> int:
    from train.loop.watch import WatchOptions, watch, watch_once  # noqa: PLC0415

    options = WatchOptions(
        repo=arguments.repo,
        data=arguments.data,
        feedback=arguments.feedback,
        min_new=arguments.min_new,
        out=arguments.out,
        revision=arguments.revision,
        **_schedules(arguments),
    )
    if not arguments.once:
        watch(options, load_settings(), every_s=arguments.every)
    done = watch_once(options, load_settings(), now=datetime.now(UTC))
    if done:
        _report(done)
    else:
        print("not enough new feedback")
    return 0


def _schedules(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of `RetrainOptions` and `WatchOptions` that say how to train."""
    from train.loop.challenger import RETRAIN_SCHEDULE  # noqa: PLC0415
    from train.loop.late import LateSchedule  # noqa: PLC0415

    names = ("epochs", "batch_size", "rate", "seed")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return {
        "full": arguments.full,
        "late": replace(LateSchedule(), **given),
        "schedule": replace(RETRAIN_SCHEDULE, **given),
    }


def _publish(arguments: argparse.Namespace) -> int:
    from train.loop.publish import publish  # noqa: PLC0415

    published = publish(
        arguments.folder, open_repository(arguments), private=arguments.private, allow_change=arguments.allow_change
    )
    crown(arguments.folder, published=f"{arguments.repo}@{published.tag}")
    done = "published as" if published.new else "nothing to publish: this is already"
    print(f"{arguments.repo}: {done} {published.tag}, commit {published.commit}")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from train.loop.publish import promote  # noqa: PLC0415

    new, old = promote(arguments.folder, arguments.to, allow_change=arguments.allow_change)
    crown(arguments.folder)
    for name, metadata in (("before", old), ("now", new)):
        if metadata is not None:
            print(f"{name}: {_scores(metadata)}")
    return 0


def _scores(metadata: "Metadata") -> str:
    test = metadata.metrics.get("test")
    if not test:
        return metadata.architecture
    return f"{metadata.architecture}, test accuracy {test['accuracy']:.4f}, log loss {test['log_loss']:.4f}"


def _rollback(arguments: argparse.Namespace) -> int:
    from train.loop.rollback import rollback  # noqa: PLC0415

    done = rollback(open_repository(arguments), to=arguments.to, reason=arguments.reason, now=datetime.now(UTC))
    if done.revoked is None:
        print(f"{arguments.repo}: main has the files of {arguments.to} already, commit {done.commit}")
    else:
        print(f"{arguments.repo}: main is {arguments.to} again, commit {done.commit}; {done.revoked} is revoked")
    return 0
