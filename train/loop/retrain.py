"""`python -m train retrain`: from the live model and accepted feedback to a challenger, and through the gate."""

import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from catdog.errors import GateRefusedError, SettingsError
from catdog.images.phash import pack
from catdog.model.metadata import SPLITS_FILE, WEIGHTS_FILE, load_metadata
from catdog.model.model import Model
from catdog.settings import Settings
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import Divided, Manifest, Split, restore, write_manifest
from train.failures import clear_disk_errors
from train.loop.accepted import Feedback, open_feedback
from train.loop.base import Base, find_head, open_base
from train.loop.challenger import RETRAIN_SCHEDULE, Replay, restore_network, retrain_schedule, train_challenger
from train.loop.compare import compare_on_corrections, compare_on_source, measure_latency
from train.loop.corrections import Corrections, HoldOut, select_corrections
from train.loop.gate import GATE_FILE, GateReport, Rules, judge, write_report
from train.loop.publish import Published, publish
from train.loop.repository import ModelRepository
from train.model_folder.write import Origin, finish_model_folder, write_model_folder
from train.network.finetune import Schedule
from train.ood.rejection import next_rule

RECIPE = "retrain"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """What `python -m train retrain` was asked to do."""

    data: str
    """The original data."""
    feedback: str
    """An export, or the Hub data set."""
    base: str
    out: Path
    publish: str | None = None
    """The repository to publish to, if the gate accepts."""
    revision: str | None = None
    """Of `data`."""
    schedule: Schedule = RETRAIN_SCHEDULE
    replay: Replay = field(default_factory=Replay)
    hold_out: HoldOut = field(default_factory=HoldOut)
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Retrained:
    """A challenger, and what became of it."""

    folder: Path
    report: GateReport
    published: Published | None


def retrain(options: RetrainOptions, settings: Settings) -> Retrained:
    """Train a challenger, judge it, and publish it if it was accepted and that was asked for.

    The result is a complete model folder with `gate.json`, whatever the gate says. `publish` refuses what it refused.

    Raises:
        SettingsError: an option is wrong, the folder exists, or the repository serves another model than the base.
        GateRefusedError: there is too little feedback to judge by; nothing was trained.
        DataError: the data or the feedback cannot be used.
        ModelError, HubError, ConflictError: see `open_base` and `publish`.
    """
    if options.out.exists():
        raise SettingsError(f"{options.out} exists already. Choose another --out, or delete it.")
    base = open_base(options.base, settings)
    repository = ModelRepository.open(options.publish, settings) if options.publish else None
    head = find_head(repository, base) if repository else None
    feedback = open_feedback(options.feedback, settings)
    corrections = select_corrections(
        feedback.rows,
        labels=base.metadata.labels,
        manifest=base.manifest,
        earlier=base.earlier,
        hold_out=options.hold_out,
    )
    _log.info("feedback: %s", describe(corrections))
    _require_enough(corrections, options.rules)
    with clear_disk_errors(options.out):
        report = _make(options, base, feedback, corrections)
    published = publish(options.out, repository, expected_head=head) if repository and report.accepted else None
    return Retrained(options.out, report, published)


def describe(corrections: Corrections) -> str:
    """What became of the rows, in one line."""
    parts = [
        f"{len(corrections.training)} pictures to learn from",
        f"{len(corrections.held_out)} held out",
        f"{len(corrections.neither)} of neither label",
        *(f"{len(ids)} rows left out as {reason}" for reason, ids in sorted(corrections.left_out.items()) if ids),
    ]
    return ", ".join(parts)


def _require_enough(corrections: Corrections, rules: Rules) -> None:
    """Spare the training where the gate can only refuse."""
    if len(corrections.held_out) < rules.min_held_out:
        raise GateRefusedError(
            f"There is too little accepted feedback to judge a new model by ({describe(corrections)}; the gate needs "
            f"{rules.min_held_out} held out, half of the new pictures at most). Review more feedback and try again."
        )


def _make(options: RetrainOptions, base: Base, feedback: Feedback, corrections: Corrections) -> GateReport:
    """Train, write and judge aside; the folder gets its name when it is complete."""
    work = options.out.with_name(f"{options.out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    (work / "checkpoints").mkdir(parents=True)
    data = _divide(options, base)
    schedule = retrain_schedule(base.metadata, options.schedule)
    network = restore_network(base.folder, base.metadata)
    settings = train_challenger(
        network, data, corrections.training, base.metadata,
        schedule=schedule, replay=options.replay, folder=work / "checkpoints",
    )  # fmt: skip
    origin = Origin(base.name, base.metadata.positive_label, RECIPE, schedule.seed, settings)
    folder = work / "model"
    rule = next_rule(base.folder, data, [each.image for each in corrections.neither])
    write_model_folder(folder, network.to("cpu"), data, base.metadata.preprocessing, origin, rule)
    report = _judge(base.model, Model.load(folder), data, corrections, options.rules)
    write_report(folder / GATE_FILE, report)
    manifest = _extended(base.manifest, data, corrections)
    write_manifest(folder / SPLITS_FILE, pack(list(manifest)), np.array(list(manifest.values())))
    metadata = load_metadata(folder)
    training = {**metadata.training, **_record(base, feedback, corrections)}
    finish_model_folder(folder, metadata.model_copy(update={"training": training}))
    folder.rename(options.out)
    shutil.rmtree(work)
    return report


def _divide(options: RetrainOptions, base: Base) -> Divided:
    """The original data, each picture in the split that it had; pictures that are new are in none."""
    source = open_source(options.data, revision=options.revision).with_labels(base.metadata.labels)
    return restore(read_examples(source), base.manifest, base.metadata.training.get("data"))


def _judge(champion: Model, challenger: Model, data: Divided, corrections: Corrections, rules: Rules) -> GateReport:
    test, slices = compare_on_source(champion, challenger, data.examples.source, data.rows("test"), data.labels("test"))
    held_out = compare_on_corrections(champion, challenger, corrections.held_out)
    return judge(test, slices, held_out, measure_latency(champion, challenger), rules=rules)


def _extended(parent: Manifest, data: Divided, corrections: Corrections) -> Manifest:
    """The parent's manifest, whose entries stay as they are, and everything new that was trained on."""
    hashes = [row.tobytes().hex() for row in data.examples.hashes[data.members("train")]]
    learned = [each.phash for each in corrections.training]
    new: dict[str, Split] = dict.fromkeys([*hashes, *learned], "train")
    return {**new, **parent}


def _record(base: Base, feedback: Feedback, corrections: Corrections) -> dict[str, Any]:
    """For the metadata: what the model was made from, down to the row."""
    return {
        "init": base.metadata.training.get("init", {"name": base.name, "sha256": None}),
        "base": {"name": base.name, "revision": base.model.revision, "sha256": base.metadata.sha256(WEIGHTS_FILE)},
        "feedback": {
            "name": feedback.name,
            "revision": feedback.revision,
            "rows": [row for each in corrections.training for row in each.row_ids],
            "held_out": [row for each in corrections.held_out for row in each.row_ids],
            "neither": [row for each in corrections.neither for row in each.row_ids],
            "left_out": {reason: list(ids) for reason, ids in corrections.left_out.items()},
        },
    }
