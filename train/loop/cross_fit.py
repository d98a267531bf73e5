"""From answers to a challenger, and to the evidence that it is judged by.

Every answer is learned from, and every answer judges: five networks are trained, each without a fifth of the answers,
and asked about that fifth. The challenger itself learns from all of them.
"""

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from catdog.images.phash import group_near_duplicates, pack
from catdog.model.model import softmax
from train.data.alike import AS_IS, WAYS, find_ways
from train.data.source import Source, source_of
from train.data.splits import Divided, Split
from train.gate.evidence import Answers, Likeness, Outputs, Rejection, TurnedAway, folds, no_answers
from train.loop.base import Base
from train.loop.challenger import (
    FullLearner,
    LateLearner,
    Learner,
    Replay,
    out_of_fold,
    restore_network,
    retrain_schedule,
)
from train.loop.corrections import Correction, Corrections
from train.loop.features import Backbone, Layer, Maps
from train.loop.late import Alike, LateSchedule, Logits, Pictures, predict_late
from train.loop.rule import Features, RuleLearner, base_bound, rule_of, turns_away_many
from train.metrics import Floats, Labels
from train.model_folder.calibration import fit_temperature
from train.ood.rejection import Rule
from train.options import Schedule

ANSWER_VIEWS = 12
REPLAY_VIEWS = 2
NEITHER_VIEWS = 4
_OF_EACH_WAY, _LEAST_OF_EACH_WAY = 48, 12
"""Old pictures that show what a change looks like."""
_RULE_OWN = 2000
_SPLITS: tuple[Split, ...] = ("validation", "test")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class How:
    """How a challenger is trained."""

    late: LateSchedule
    full: Schedule | None
    """Of the whole network; None trains the late layers alone."""
    replay: Replay
    cache: Path | None
    """Where maps are kept; None keeps none."""
    checkpoints: Path
    """Of the whole network."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of the answers."""

    network: nn.Module
    """The challenger, before its temperature is folded into it."""
    validation: Logits
    """Its logits on validation."""
    rule: Rule | None
    """The challenger's, if the base has one."""
    answers: Answers
    twin_test: Floats
    """The twin's probabilities on the test set."""
    kept: Outputs
    """What champion, challenger and twin say about the validation pictures."""
    rejection: Rejection | None
    record: dict[str, Any]


def learn(base: Base, data: Divided, corrections: Corrections, how: How) -> Learned:
    """Train the challenger, its twin, and a network for each fold of the answers.

    Raises:
        DataError: a picture cannot be read any more, or the loss became infinite.
        ModelError: the base's weights do not fit its architecture.
        SettingsError, HubError: see `create_network`.
    """
    return _Round(base, data, corrections, how).learn()


class _Round:
    """One retraining: its pictures pass the frozen layers once."""

    def __init__(self, base: Base, data: Divided, corrections: Corrections, how: How) -> None:
        self.base, self.data, self.corrections, self.how = base, data, corrections, how
        self.labels = base.metadata.labels
        self.champion = restore_network(base.folder, base.metadata)
        self.backbone = Backbone.of(base.folder, self.champion, base.metadata, cache=how.cache)
        self.splits = {split: self._split(split) for split in _SPLITS}
        self.replayed = self._replay()
        """Which of the examples: shape (n,)."""
        maps = self._some(self.replayed, REPLAY_VIEWS, "old training pictures")
        self.replay = Pictures(maps, data.training_labels[self.replayed])

    def learn(self) -> Learned:
        learner = self._learner()
        everything = np.ones(len(self.corrections.answers), dtype=np.bool_)
        if self.corrections.answers:
            network, twin = learner.learn(everything, "challenger"), learner.learn(~everything, "twin")
        else:  # answers `neither` teach the rule alone
            network, twin = copy.deepcopy(self.champion), self.champion
        validation = learner.split(network, "validation")
        temperature = fit_temperature(validation, self.data.labels("validation"))
        twin_temperature = fit_temperature(learner.split(twin, "validation"), self.data.labels("validation"))
        rule, rejection = self._rule()
        return Learned(
            network=network,
            validation=validation,
            rule=rule,
            answers=self._answers(learner, twin, temperature, twin_temperature),
            kept=self._kept(learner, validation / np.float32(temperature), twin, twin_temperature),
            twin_test=softmax(learner.split(twin, "test") / np.float32(twin_temperature)),
            rejection=rejection,
            record=learner.record,
        )

    def _learner(self) -> Learner:
        answers, rehearsed = self.corrections.answers, self.corrections.rehearsed
        if self.how.full is not None:
            schedule = retrain_schedule(self.base.metadata, self.how.full)
            return FullLearner(
                champion=self.champion,
                metadata=self.base.metadata,
                data=self.data,
                answered=as_source(answers, self.labels),
                rehearsed=as_source(rehearsed, self.labels),
                schedule=schedule,
                replay=self.how.replay,
                folder=self.how.checkpoints,
            )
        known = self._pictures(rehearsed, REPLAY_VIEWS, "answers that the base has learned")
        answered = self._pictures(answers, ANSWER_VIEWS, "answers")
        return LateLearner(
            champion=self.champion,
            replay=_joined(self.replay, known),
            answered=answered,
            maps=self.splits,
            schedule=self.how.late,
            alike=self.alike,
            ways=self.ways,
        )

    @cached_property
    def ways(self) -> dict[str, float]:
        """What the answers look like; empty if they look as old pictures do, or these are too few to tell."""
        train, answers = self.data.members("train"), self.corrections.answers
        each = min(_OF_EACH_WAY, len(train) // (len(WAYS) + 1))
        if each < _LEAST_OF_EACH_WAY or not answers:
            return {}
        ways = [way for way in (AS_IS, *WAYS) for _ in range(each)]
        drawn = np.random.default_rng(0).permutation(train)[: len(ways)]
        what = "old training pictures, changed in known ways,"
        known = self._some(drawn, 1, what, layer=Layer.LOOK, ways=ways)[:, 0]
        asked = self._of(answers, 1, "answers", layer=Layer.LOOK)[:, 0]
        found = find_ways(known.astype(np.float64), ways, asked.astype(np.float64))
        if found:
            named = ", ".join(f"{way} ({share:.0%})" for way, share in found.items())
            _log.info("answers look %s: old training pictures are made to look so", named)
        return found

    @cached_property
    def alike(self) -> Alike | None:
        """The replayed pictures as the answers look; None if these look as usual, or the whole network learns."""
        if self.how.full is not None or not self.ways:
            return None
        names, shares = list(self.ways), np.array(list(self.ways.values()))
        drawn = np.random.default_rng(self.how.late.seed).choice(names, len(self.replay), p=shares / shares.sum())
        what = "old training pictures that look like the answers"
        maps = self._some(self.replayed, 1, what, ways=drawn.tolist())
        return Alike(Pictures(maps, self.replay.labels), self.replay.served)

    def _likeness(self) -> Likeness | None:
        """How the champion fares on what looks like the answers; it learned from these pictures, as they were."""
        if self.alike is None:
            return None
        pictures = self.alike.pictures
        wrong = predict_late(self.champion, pictures.served).argmax(axis=1) != pictures.labels
        return Likeness(int(wrong.sum()), len(pictures))

    def _answers(self, learner: Learner, twin: nn.Module, temperature: float, twin_temperature: float) -> Answers:
        answers = self.corrections.answers
        if not answers:
            return no_answers(len(self.labels))
        groups = group_near_duplicates(pack([each.phash for each in answers]))
        logits = out_of_fold(learner, folds(groups, seed=self.how.late.seed))
        everything = np.ones(len(answers), dtype=np.bool_)
        champion = learner.answers(self.champion, everything) / np.float32(self.base.metadata.temperature)
        return Answers(
            outputs=Outputs(
                labels=numbers_of(answers, self.labels),
                champion=softmax(champion),
                challenger=softmax(logits / np.float32(temperature)),
                twin=softmax(learner.answers(twin, everything) / np.float32(twin_temperature)),
            ),
            groups=groups,
            asked=tuple(each.asked for each in answers),
            row_ids=tuple(each.row_ids for each in answers),
            images=tuple(each.image for each in answers),
            likeness=self._likeness(),
        )

    def _kept(self, learner: Learner, validation: Logits, twin: nn.Module, twin_temperature: float) -> Outputs:
        """What each model says about the validation pictures, which none of them was trained with."""
        champion = learner.split(self.champion, "validation") / np.float32(self.base.metadata.temperature)
        said = learner.split(twin, "validation") / np.float32(twin_temperature)
        return Outputs(self.data.labels("validation"), softmax(champion), softmax(validation), softmax(said))

    def _rule(self) -> tuple[Rule | None, Rejection | None]:
        """The next rule for "neither", and what it makes of the answers that it did not see."""
        rule, new = rule_of(self.base.folder), self.corrections.neither
        if rule is None:
            if new:
                _log.warning("%d pictures of neither label teach nothing: the model has no rule for them. "
                             "`python -m train neither` makes one.", len(new))  # fmt: skip
            return None, None
        answered = self._for_rule(rule, self.corrections.answers, "answers")
        if not new and not turns_away_many(base_bound(rule).rejects(answered[:, 0])):
            return rule, None
        own, validation, test = (
            self._some(members, views, what, layer=Layer.NEITHER).astype(np.float32)
            for members, views, what in (
                (self.replayed[:_RULE_OWN], REPLAY_VIEWS if new else 1, "old training pictures, for the rule,"),
                (np.sort(self.data.members("validation")), 1, "validation pictures, for the rule,"),
                (np.sort(self.data.members("test")), 1, "test pictures, for the rule,"),
            )
        )
        rehearsed = self._for_rule(rule, self.corrections.rehearsed, "answers that the base has learned")
        learner = RuleLearner(
            rule=rule,
            own=np.concatenate([each.reshape(-1, each.shape[-1]) for each in (own, rehearsed)]),
            validation=validation[:, 0],
            neither=self._for_rule(rule, [*new, *self.corrections.neither_rehearsed], "answers of neither label"),
            new=len(new),
            answered=answered,
        )
        return learner.next(), self._rejection(learner, test[:, 0])

    def _for_rule(self, rule: Rule, corrections: Sequence[Correction], what: str) -> Features:
        """Shape (n, views, features)."""
        if not corrections:
            return np.zeros((0, NEITHER_VIEWS, len(rule.head.weight)), dtype=np.float32)
        what = f"{what}, for the rule,"
        return self._of(corrections, NEITHER_VIEWS, what, layer=Layer.NEITHER).astype(np.float32)

    def _rejection(self, learner: RuleLearner, test: Features) -> Rejection:
        """What champion and challenger make of answers that they did not see, and of the test pictures."""
        base, challenger = learner.base, learner.learn()
        new, known = learner.neither[: learner.new, 0], learner.neither[learner.new :, 0]
        answered = learner.answered[:, 0]
        neither, named = np.zeros(len(new), dtype=np.bool_), np.zeros(len(answered), dtype=np.bool_)
        for out in self._folds(self.corrections.neither):
            neither[out] = learner.learn(without=out).rejects(new[out])
        for out in self._folds(self.corrections.answers):
            named[out] = learner.learn(without_answered=out).rejects(answered[out])
        return Rejection(
            neither=TurnedAway(base.rejects(new), neither),
            known=TurnedAway(base.rejects(known), challenger.rejects(known)),
            answers=TurnedAway(base.rejects(answered), named),
            test=TurnedAway(base.rejects(test), challenger.rejects(test)),
        )

    def _folds(self, corrections: Sequence[Correction]) -> Iterator[npt.NDArray[np.bool_]]:
        """Which of them, shape (n,), each fold has."""
        fold_of = folds(group_near_duplicates(pack([each.phash for each in corrections])), seed=self.how.late.seed)
        return (fold_of == number for number in np.unique(fold_of).tolist())

    def _replay(self) -> npt.NDArray[np.int64]:
        rows = self.how.replay.draw(self.data.rows("train"), len(self.corrections.answers), seed=self.how.late.seed)
        return np.flatnonzero(np.isin(self.data.examples.rows, rows))

    def _split(self, split: Split) -> Pictures:
        maps = self._some(np.sort(self.data.members(split)), 1, f"{split} pictures")
        return Pictures(maps, self.data.labels(split))

    def _some(
        self,
        members: npt.NDArray[np.int64],
        views: int,
        what: str,
        *,
        layer: Layer = Layer.LAST,
        ways: Sequence[str] = (),
    ) -> Maps:
        """What a layer makes of some examples."""
        examples = self.data.examples
        digests = [examples.digests[member] for member in members]
        rows = examples.rows[members].tolist()
        return self.backbone.maps(examples.source, rows, digests, layer=layer, views=views, what=what, ways=ways)

    def _pictures(self, corrections: Sequence[Correction], views: int, what: str) -> Pictures:
        if not corrections:
            return self.replay.some(np.zeros(len(self.replay), dtype=np.bool_))
        return Pictures(self._of(corrections, views, what), numbers_of(corrections, self.labels))

    def _of(self, corrections: Sequence[Correction], views: int, what: str, *, layer: Layer = Layer.LAST) -> Maps:
        """What a layer makes of answers, at least one."""
        source = source_of("answers", [each.image for each in corrections], [0] * len(corrections), self.labels)
        digests = [each.digest for each in corrections]
        return self.backbone.maps(source, range(len(source)), digests, layer=layer, views=views, what=what)


def as_source(corrections: Sequence[Correction], labels: tuple[str, ...]) -> Source:
    """Answers as a data set."""
    numbers = numbers_of(corrections, labels).tolist()
    return source_of("answers", [each.image for each in corrections], numbers, labels)


def numbers_of(corrections: Sequence[Correction], labels: tuple[str, ...]) -> Labels:
    """Shape (n,): what they say, as indices into the labels."""
    return np.array([labels.index(each.label) for each in corrections], dtype=np.int64)


def _joined(replay: Pictures, known: Pictures) -> Pictures:
    if not len(known):
        return replay
    return Pictures(np.concatenate([replay.maps, known.maps]), np.concatenate([replay.labels, known.labels]))
