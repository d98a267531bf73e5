"""`python -m train retrain`: from the live model and accepted feedback to a challenger, and through the gate."""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from catdog.allocator import trim
from catdog.errors import GateRefusedError, SettingsError
from catdog.images.decode import decode_image
from catdog.images.phash import pack
from catdog.model.metadata import SPLITS_FILE, WEIGHTS_FILE, load_metadata
from catdog.model.model import Model, Prediction
from catdog.settings import Settings
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import Divided, Manifest, Split, restore, write_manifest
from train.failures import clear_disk_errors
from train.gate.compare import ask_about, measure_latency
from train.gate.evidence import Answers, Evidence, Outputs
from train.gate.gate import Counts, foresee, judge
from train.gate.history import History, read_history
from train.gate.page import keep_verdict
from train.gate.report import GATE_FILE, GateReport, write_report
from train.gate.rules import Rules
from train.loop.accepted import Feedback, open_feedback
from train.loop.base import Base, find_head, open_base
from train.loop.challenger import RETRAIN_SCHEDULE, Replay
from train.loop.corrections import Correction, Corrections, select_corrections
from train.loop.cross_fit import How, Learned, learn
from train.loop.features import CACHE_FOLDER
from train.loop.late import LateSchedule
from train.loop.publish import Published, publish
from train.loop.repository import ModelRepository, known_looks, publish_refusal
from train.loop.rule import turns_away_many
from train.model_folder.write import Origin, finish_model_folder, write_model_folder
from train.options import Schedule

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
    late: LateSchedule = field(default_factory=LateSchedule)
    """How the late layers are trained."""
    full: bool = False
    """Train the whole network instead: many times slower."""
    schedule: Schedule = RETRAIN_SCHEDULE
    """How the whole network is trained."""
    replay: Replay = field(default_factory=Replay)
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
    )
    _log.info("feedback: %s", describe(corrections))
    history = known_looks(base.folder, base.model.revision, options.out.parent, repository)
    _require_enough(base, corrections, history, datetime.now(UTC), options.rules)
    with clear_disk_errors(options.out):
        report, answers = _make(options, base, feedback, corrections, history)
        keep_verdict(options.out, report, answers, base.metadata.labels, history)
    if repository and head and not report.accepted:
        publish_refusal(read_history(options.out), repository, head)
    published = publish(options.out, repository, expected_head=head) if repository and report.accepted else None
    return Retrained(options.out, report, published)


def describe(corrections: Corrections) -> str:
    """What became of the rows, in one line."""
    parts = [
        f"{len(corrections.answers)} new pictures to learn from",
        *([f"{len(corrections.rehearsed)} that the base has learned"] if corrections.rehearsed else []),
        f"{len(corrections.neither)} of neither label",
        *(f"{len(ids)} rows left out as {reason}" for reason, ids in sorted(corrections.left_out.items()) if ids),
    ]
    return ", ".join(parts)


def _require_enough(base: Base, corrections: Corrections, history: History, now: datetime, rules: Rules) -> None:
    """Spare the training where the gate can only refuse, and say what it will be able to tell."""
    said = [base.model.predict(decode_image(each.image)) for each in corrections.answers]
    wrong = sum(each.label != answer.label for each, answer in zip(said, corrections.answers, strict=True))
    turned_away = np.array([each.verdict.is_neither for each in said], dtype=np.bool_)
    test = sum(split == "test" for split in base.manifest.values())
    neither = len(corrections.neither) if base.metadata.verdict.neither else 0
    named = int(turned_away.sum()) if turns_away_many(turned_away) else 0
    counts = Counts(answers=len(said), corrections=wrong, neither=neither, turned_away=named, test=test)
    outlook = foresee(counts, history, rules=rules, now=now)
    for note in outlook.notes:
        _log.info("%s", note)
    if outlook.reason:
        raise GateRefusedError(
            f"There is too little accepted feedback to judge a new model by ({describe(corrections)}): "
            f"{outlook.reason}. Review more feedback and try again."
        )


def _make(
    options: RetrainOptions, base: Base, feedback: Feedback, corrections: Corrections, history: History
) -> tuple[GateReport, Answers]:
    """Train, write and judge aside; the folder gets its name when it is complete."""
    work = options.out.with_name(f"{options.out.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    data = _divide(options, base)
    learned = learn(base, data, corrections, _how(options, base, corrections, work))
    trim()  # the pictures' maps are done with, and to write the folder takes as much again
    folder = work / "model"
    test = _write(folder, base, data, learned, options.late.seed)
    evidence = _collect(base.model, Model.load(folder), test, data, learned)
    report = judge(evidence, history, rules=options.rules, now=datetime.now(UTC), champion=base.model.revision)
    write_report(folder / GATE_FILE, report)
    manifest = _extended(base.manifest, data, corrections)
    write_manifest(folder / SPLITS_FILE, pack(list(manifest)), np.array(list(manifest.values())))
    metadata = load_metadata(folder)
    training = {**metadata.training, **_record(base, feedback, corrections)}
    kinds = report.look.accuracy if report.look else {}
    metrics = {**metadata.metrics, **({"kinds": kinds} if kinds else {})}
    finish_model_folder(folder, metadata.model_copy(update={"training": training, "metrics": metrics}))
    folder.rename(options.out)
    shutil.rmtree(work)
    return report, evidence.answers


def _how(options: RetrainOptions, base: Base, corrections: Corrections, work: Path) -> How:
    """How to train. Checkpoints are found again by the same command, and by no other."""
    about = [base.metadata.sha256(WEIGHTS_FILE), asdict(options.schedule), asdict(options.replay)]
    digests = [each.digest + each.label for each in (*corrections.answers, *corrections.rehearsed)]
    identity = hashlib.sha256("".join([json.dumps(about), *digests]).encode()).hexdigest()
    return How(
        late=options.late,
        full=options.schedule if options.full else None,
        replay=options.replay,
        cache=options.out.parent / CACHE_FOLDER,
        checkpoints=work / f"checkpoints-{identity:.12}",
    )


def _write(folder: Path, base: Base, data: Divided, learned: Learned, seed: int) -> list[Prediction]:
    """Make the challenger's model folder; returns what it says about the test pictures."""
    origin = Origin(
        base.name,
        base.metadata.positive_label,
        RECIPE,
        seed,
        learned.record,
        license=base.metadata.training.get("license"),
    )
    return write_model_folder(
        folder, learned.network, data, base.metadata.preprocessing, origin, learned.rule, validation=learned.validation
    )


def _collect(
    champion: Model, challenger: Model, said: Sequence[Prediction], data: Divided, learned: Learned
) -> Evidence:
    """Everything that the gate looks at; the test set is asked through the files that are, or would be, served."""
    labels = data.labels("test")
    before, slices = ask_about(champion, data.examples.source, data.rows("test"), labels)
    test = Outputs(labels, before, np.array([each.probabilities for each in said]), learned.twin_test)
    latency = measure_latency(champion, challenger)
    return Evidence(test, slices, learned.answers, latency, learned.rejection, learned.kept)


def _divide(options: RetrainOptions, base: Base) -> Divided:
    """The original data, each picture in the split that it had; pictures that are new are in none."""
    source = open_source(options.data, revision=options.revision).with_labels(base.metadata.labels)
    # The first time `datasets` copies the data, and a fifth of all memory would stay with what that took.
    pa.default_memory_pool().release_unused()
    trim()
    examples = read_examples(source, cache=options.out.parent / CACHE_FOLDER)
    return restore(examples, base.manifest, base.metadata.training.get("data"))


def _extended(parent: Manifest, data: Divided, corrections: Corrections) -> Manifest:
    """The parent's manifest, whose entries stay as they are, and everything new that was trained on."""
    hashes = [row.tobytes().hex() for row in data.examples.hashes[data.members("train")]]
    learned = [each.phash for each in (*corrections.answers, *corrections.rehearsed)]
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
            "rows": _row_ids(corrections.rehearsed, corrections.answers),
            "neither": _row_ids(corrections.neither_rehearsed, corrections.neither),
            "left_out": {reason: list(ids) for reason, ids in corrections.left_out.items()},
        },
    }


def _row_ids(*corrections: Sequence[Correction]) -> list[str]:
    return [row for some in corrections for each in some for row in each.row_ids]
