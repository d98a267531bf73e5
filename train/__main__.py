"""`python -m train`: fit, evaluate, publish and improve models."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from catdog.cli import run
from catdog.errors import GateRefusedError, SettingsError
from catdog.settings import EMBEDDED_MODEL, load_settings

if TYPE_CHECKING:
    from catdog.metadata import Metadata
    from train.evaluate import Answered
    from train.features import Frozen
    from train.finetune import Schedule
    from train.overlay import Overlay
    from train.repository import ModelRepository
    from train.retrain import Retrained
    from train.rule import RuleOptions

_PACKAGES = {
    "accelerate", "cleanlab", "datasets", "jinja2", "matplotlib", "mlflow", "onnx", "onnxscript", "safetensors",
    "scipy", "sklearn", "timm", "torch", "torchvision", "tqdm",
}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run one subcommand."""
    arguments = _parser().parse_args(argv)
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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prepare(commands.add_parser("prepare", help="copy a data set: smaller pictures, and the split beside them"))
    _add_fit(commands.add_parser("fit", help="fine-tune a network; the result is a complete model folder"))
    _add_soup(commands.add_parser("soup", help="average the weights of several fits into one better model"))
    _add_neither(commands.add_parser("neither", help="teach a model to say that a picture shows none of its labels"))
    _add_drift(commands.add_parser("drift", help="store in a model folder what its pictures are like"))
    _add_evaluate(commands.add_parser("evaluate", help="metrics of a model folder as JSON, or a whole report"))
    _add_audit(commands.add_parser("audit", help="what is wrong with a data set: duplicates and likely wrong labels"))
    _add_baseline(commands.add_parser("baseline", help="simple models and finished ones in one table"))
    _add_retrain(commands.add_parser("retrain", help="improve a model by accepted feedback; the gate decides"))
    _add_watch(commands.add_parser("watch", help="retrain and publish whenever enough new feedback is there"))
    _add_publish(commands.add_parser("publish", help="make a model folder the next revision on the Hub"))
    _add_card(commands.add_parser("card", help="put what an evaluation found into a copy of a model folder"))
    _add_promote(commands.add_parser("promote", help="make a run the embedded model, and MLflow's champion"))
    _add_rollback(commands.add_parser("rollback", help="bring an earlier revision back"))
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, help="a Hub data set or a folder")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    add("--side", type=_positive, default=256, help="shorter sides are made at most this long, in pixels")
    add("--splits", type=Path, metavar="FILE", help="keep the split of an earlier model: its splits.csv")
    add("--seed", type=int, default=0, help="of the split")
    parser.set_defaults(run=_prepare)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, help="a Hub data set, or a folder: Parquet, or a sub-folder of pictures per label")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--init", required=True, help="starting weights: a safetensors file, timm/NAME on the Hub, or `random`")
    add("--out", required=True, type=Path, help="the model folder to make")
    add("--recipe", choices=["finetune", "probe"], default="finetune", help="probe: only a linear head, in minutes")
    add("--epochs", type=_positive, default=5)
    add("--batch-size", type=_positive, default=64, help="pictures per step and device")
    add("--accumulate", type=_positive, default=1, help="batches per step of the optimiser")
    add(
        "--rate",
        type=_above_zero,
        default=2e-4,
        help="peak learning rate of the head; the body has three quarters of it",
    )
    add(
        "--train-size", type=_positive, default=192, help="side of the training crops; smaller than --img-size is right"
    )
    add("--precision", choices=["no", "fp16", "bf16"], default="no", help="mixed precision; pays on a GPU")
    add("--resume", action="store_true", help="go on with an interrupted run, if there is one")
    add("--no-tracking", action="store_true", help="keep no record in MLflow")
    add("--arch", default="tf_mobilenetv3_small_100", help="timm's name of the network, for --init FILE or random")
    add("--img-size", type=_positive, default=256, help="side of the network's input in pixels")
    add("--crop-pct", type=_share, default=0.95, help="which part of the shorter side the crop takes")
    add("--splits", type=Path, metavar="FILE", help="keep the split of an earlier model: its splits.csv")
    add("--overlay", type=Path, metavar="FILE", help="corrected labels: train and validate with them")
    add("--positive-label", help="the label whose probability `probability` is; of two labels the second")
    add("--outliers", metavar="DATA", help="pictures of other things: the model learns to say `neither`, see `neither`")
    add("--seed", type=int, default=0)
    parser.set_defaults(run=_fit)


def _add_soup(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Average the weights of model folders that were fitted to the same data and split from the same weights, with "
        "other options: no slower than one of them, and usually better than each. Calibrated and scored as after `fit`."
    )
    add("--model", required=True, action="append", type=Path, metavar="RUN", help="a model folder; name two or more")
    add("--data", required=True, help="the data that they were trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    parser.set_defaults(run=_soup)


def _add_neither(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Add to a model folder the rule that says `neither`: a second, frozen network in its ONNX file, with a head "
        "that learns from pictures of other things, and a threshold. The rates on kinds that it had not seen are "
        "on stdout, and in the new folder's card."
    )
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; it stays as it is")
    add("--data", required=True, help="the data that the model was trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--outliers", required=True, metavar="DATA",
        help="a Hub data set or folder of pictures of other things; a column `name`, or sub-folders, say their "
        "kinds")  # fmt: skip
    add("--init", required=True, help="weights of the second network: a safetensors file, or timm/NAME on the Hub")
    add("--arch", default="tf_mobilenetv3_small_100", help="timm's name of the second network, for --init FILE")
    add("--side", type=_positive, help="side in pixels of the copy of the picture that it sees")
    add("--near", type=_names, metavar="KIND,KIND", help="kinds whose rates are reported apart (animals)")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    add("--seed", type=int, default=0)
    parser.set_defaults(run=_neither)


def _add_drift(parser: argparse.ArgumentParser) -> None:
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


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", required=True, type=Path, help="a model folder")
    add("--data", required=True, help="a Hub data set or a folder")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--split", choices=["unseen", "test", "validation", "train", "all"], default="unseen",
        help="unseen: pictures that the model was not made with (of its own data set: the test split)")  # fmt: skip
    add("--overlay", type=Path, metavar="FILE", help="corrected labels: score with them too, side by side")
    add("--out", type=Path, help="also write the JSON here")
    add("--report", type=Path, metavar="DIR",
        help="write a report to look at: plots, kinds of picture, worst mistakes; not for the repository")  # fmt: skip
    add("--update-card", action="store_true", help="with --report: put its plots into the model folder and its card")
    parser.set_defaults(run=_evaluate)


def _add_audit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Look for unreadable files, copies, and labels that are probably wrong. Nothing is changed: look at "
        "suspects.html, and write what you see into an overlay for `fit` and `evaluate`."
    )
    _add_frozen(parser)
    add("--out", required=True, type=Path, metavar="DIR", help="for the lists and the page; holds pictures")
    add("--overlay", type=Path, metavar="FILE", help="what was seen so far: gives the precision of the first 50")
    parser.set_defaults(run=_audit)


def _add_baseline(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Compare logistic regression on pixels, a linear head on the untouched network, and finished models, all on "
        "test pictures that none was made with. The table is on stdout and in DIR."
    )
    _add_frozen(parser)
    add("--out", required=True, type=Path, metavar="DIR", help="for comparison.json and comparison.md; made anew")
    add("--model", action="append", default=[], type=_named_folder, metavar="[NAME=]DIR",
        help="a finished model folder; may be repeated, and each row shows its gain over the one above")  # fmt: skip
    add("--seed", type=int, default=0)
    add("--update-card", action="store_true", help="put the table into the last model's folder and card")
    parser.set_defaults(run=_baseline)


def _add_frozen(parser: argparse.ArgumentParser) -> None:
    """The data, and the untouched network that looks at it."""
    add = parser.add_argument
    add("--data", required=True, help="a Hub data set or a folder")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--init", required=True, help="the network's weights: a safetensors file, or timm/NAME on the Hub")
    add("--arch", default="tf_mobilenetv3_small_100", help="timm's name of the network, for --init FILE")
    add("--img-size", type=_positive, default=256, help="side of the network's input in pixels")
    add("--crop-pct", type=_share, default=0.95, help="which part of the shorter side the crop takes")


def _add_retrain(parser: argparse.ArgumentParser) -> None:
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


def _add_watch(parser: argparse.ArgumentParser) -> None:
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
    add("--data", required=True, help="the data that the model was first trained with")
    add("--revision", help="branch, tag or commit of the Hub data set")
    add("--feedback", required=True, help="the folder that `python -m feedback export` wrote, or the Hub data set")
    add("--epochs", type=_positive, help="over corrections and replayed pictures")
    add("--batch-size", type=_positive, help="pictures per step")
    add("--rate", type=_above_zero, help="peak learning rate of the head; the body has half of it")
    add("--seed", type=int, default=0)


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="a model folder")
    parser.add_argument("--repo", required=True, help="the model repository, USER/NAME; created if need be")
    parser.add_argument("--private", action="store_true", help="create it as private")
    parser.set_defaults(run=_publish)


def _add_card(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", required=True, type=Path, metavar="RUN", help="a model folder; it stays as it is")
    add("--report", required=True, type=Path, metavar="DIR", help="what `evaluate --report` made for it")
    add("--out", required=True, type=Path, metavar="RUN2", help="the model folder to make")
    parser.set_defaults(run=_card)


def _add_promote(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="a model folder")
    parser.add_argument("--to", type=Path, default=EMBEDDED_MODEL, metavar="DIR", help="the folder to replace (model)")
    parser.set_defaults(run=_promote)


def _add_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repo", required=True, help="the model repository, USER/NAME")
    parser.add_argument("--to", required=True, metavar="TAG", help="the tag whose files `main` is to have again")
    parser.add_argument("--reason", default="rolled back by hand", help="noted beside the revision that is taken back")
    parser.set_defaults(run=_rollback)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _share(text: str) -> float:
    value = _above_zero(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text} is not at most 1")
    return value


def _named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.rpartition("=")
    return name or Path(folder).resolve().name, Path(folder)


def _prepare(arguments: argparse.Namespace) -> int:
    from train.prepare import prepare  # noqa: PLC0415

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
    from train.finetune import Schedule  # noqa: PLC0415
    from train.fit import FitOptions, fit  # noqa: PLC0415 - torch is slow to import, and may be missing
    from train.mlflow_tracking import MlflowTracker  # noqa: PLC0415

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
            schedule=Schedule(
                epochs=arguments.epochs,
                batch_size=arguments.batch_size,
                accumulate=arguments.accumulate,
                rate=arguments.rate,
                train_size=arguments.train_size,
                seed=arguments.seed,
            ),
        ),
        tracker,
    )
    print(folder)
    return 0


def _rule_options(arguments: argparse.Namespace) -> "RuleOptions":
    from train.rule import RuleOptions  # noqa: PLC0415

    given = {name: getattr(arguments, name, None) for name in ("side", "near")}
    return RuleOptions(
        outliers=arguments.outliers,
        init=arguments.init,
        architecture=arguments.arch,
        seed=arguments.seed,
        **{name: value for name, value in given.items() if value is not None},
    )


def _soup(arguments: argparse.Namespace) -> int:
    from train.soup import soup  # noqa: PLC0415 - torch is slow to import, and may be missing

    print(soup(arguments.model, arguments.data, revision=arguments.revision, out=arguments.out))
    return 0


def _neither(arguments: argparse.Namespace) -> int:
    from train.add_rule import add_rule  # noqa: PLC0415 - torch is slow to import, and may be missing

    options = _rule_options(arguments)
    metrics = add_rule(arguments.model, arguments.data, options, revision=arguments.revision, out=arguments.out)
    print(json.dumps(metrics, indent=2))
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    from train.add_reference import add_reference  # noqa: PLC0415 - torch is slow to import, and may be missing

    reference = add_reference(arguments.model, arguments.data, revision=arguments.revision, everything=arguments.other)
    print(f"{arguments.model}: {', '.join(reference.properties)} of {reference.n} pictures")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from train.evaluate import answer  # noqa: PLC0415 - datasets is slow to import, and may be missing

    if arguments.update_card and not arguments.report:
        raise SettingsError("--update-card needs --report DIR, where the plots are made.")
    answered = answer(
        arguments.model,
        arguments.data,
        revision=arguments.revision,
        split=arguments.split,
        overlay=_read_overlay(arguments),
    )
    text = json.dumps(answered.as_dict(), indent=2)
    print(text)
    if arguments.out:
        try:
            arguments.out.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"--out {arguments.out} cannot be written: {error.strerror}.") from None
    if arguments.report:
        _write_report(answered, arguments)
    return 0


def _write_report(answered: "Answered", arguments: argparse.Namespace) -> None:
    from train.report import put_into_card, write_report  # noqa: PLC0415

    report = write_report(answered, arguments.report)
    if arguments.update_card:
        put_into_card(arguments.model, arguments.report, report)


def _read_overlay(arguments: argparse.Namespace) -> "Overlay | None":
    from train.overlay import read_overlay  # noqa: PLC0415

    return read_overlay(arguments.overlay) if arguments.overlay else None


def _audit(arguments: argparse.Namespace) -> int:
    from train.audit import audit  # noqa: PLC0415

    overlay = _read_overlay(arguments)
    found = audit(arguments.data, _frozen(arguments), arguments.out, revision=arguments.revision, overlay=overlay)
    print(json.dumps(found, indent=2))
    return 0


def _baseline(arguments: argparse.Namespace) -> int:
    from train.baseline import BaselineOptions, baseline, put_into_card  # noqa: PLC0415
    from train.comparison import as_markdown  # noqa: PLC0415

    if arguments.update_card and not arguments.model:
        raise SettingsError("--update-card needs --model DIR: it is that one's card.")
    models = dict(arguments.model)
    if len(models) < len(arguments.model):
        raise SettingsError("Two --model have the same name. Give them names: --model NAME=DIR.")
    report = baseline(
        BaselineOptions(
            data=arguments.data,
            frozen=_frozen(arguments),
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


def _frozen(arguments: argparse.Namespace) -> "Frozen":
    from train.features import Frozen  # noqa: PLC0415

    return Frozen(arguments.init, arguments.arch, arguments.img_size, arguments.crop_pct)


def _retrain(arguments: argparse.Namespace) -> int:
    from train.retrain import RetrainOptions, retrain  # noqa: PLC0415

    options = RetrainOptions(
        data=arguments.data,
        revision=arguments.revision,
        feedback=arguments.feedback,
        base=arguments.base,
        out=arguments.out,
        publish=arguments.publish,
        schedule=_retrain_schedule(arguments),
    )
    _report(retrain(options, load_settings()))
    return 0


def _report(done: "Retrained") -> None:
    print(done.report.as_text())
    if not done.report.accepted:
        raise GateRefusedError(f"The gate refused {done.folder}: {'; '.join(done.report.reasons)}.")
    if done.published:
        _crown(done.folder, published=done.published.tag)
        print(f"published as {done.published.tag}, commit {done.published.commit}")


def _watch(arguments: argparse.Namespace) -> int:
    from train.watch import WatchOptions, watch, watch_once  # noqa: PLC0415

    options = WatchOptions(
        repo=arguments.repo,
        data=arguments.data,
        feedback=arguments.feedback,
        min_new=arguments.min_new,
        out=arguments.out,
        revision=arguments.revision,
        schedule=_retrain_schedule(arguments),
    )
    if not arguments.once:
        watch(options, load_settings(), every_s=arguments.every)
    done = watch_once(options, load_settings(), now=datetime.now(UTC))
    if done:
        _report(done)
    else:
        print("not enough new feedback")
    return 0


def _retrain_schedule(arguments: argparse.Namespace) -> "Schedule":
    from train.challenger import RETRAIN_SCHEDULE  # noqa: PLC0415

    given = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "rate", "seed")}
    return replace(RETRAIN_SCHEDULE, **{name: value for name, value in given.items() if value is not None})


def _publish(arguments: argparse.Namespace) -> int:
    from train.publish import publish  # noqa: PLC0415

    published = publish(arguments.folder, _repository(arguments), private=arguments.private)
    _crown(arguments.folder, published=f"{arguments.repo}@{published.tag}")
    done = "published as" if published.new else "nothing to publish: this is already"
    print(f"{arguments.repo}: {done} {published.tag}, commit {published.commit}")
    return 0


def _card(arguments: argparse.Namespace) -> int:
    from train.release import release  # noqa: PLC0415

    release(arguments.model, arguments.report, arguments.out)
    print(arguments.out)
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from train.promote import promote  # noqa: PLC0415

    new, old = promote(arguments.folder, arguments.to)
    _crown(arguments.folder)
    for name, metadata in (("before", old), ("now", new)):
        if metadata is not None:
            print(f"{name}: {_scores(metadata)}")
    return 0


def _scores(metadata: "Metadata") -> str:
    test = metadata.metrics.get("test")
    if not test:
        return metadata.architecture
    return f"{metadata.architecture}, test accuracy {test['accuracy']:.4f}, log loss {test['log_loss']:.4f}"


def _crown(folder: Path, **tags: str) -> None:
    """Make it MLflow's champion too; what was done stays done if MLflow cannot be told."""
    from train.mlflow_tracking import MlflowTracker  # noqa: PLC0415

    try:
        MlflowTracker(load_settings().mlflow_tracking_uri).crown(folder, tags)
    except SettingsError as error:
        print(f"warning: {error}", file=sys.stderr)


def _rollback(arguments: argparse.Namespace) -> int:
    from train.rollback import rollback  # noqa: PLC0415

    done = rollback(_repository(arguments), to=arguments.to, reason=arguments.reason, now=datetime.now(UTC))
    if done.revoked is None:
        print(f"{arguments.repo}: main has the files of {arguments.to} already, commit {done.commit}")
    else:
        print(f"{arguments.repo}: main is {arguments.to} again, commit {done.commit}; {done.revoked} is revoked")
    return 0


def _repository(arguments: argparse.Namespace) -> "ModelRepository":
    from train.repository import ModelRepository  # noqa: PLC0415

    return ModelRepository.open(arguments.repo, load_settings())


if __name__ == "__main__":
    sys.exit(run(main))
