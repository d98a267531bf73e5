"""Shadow mode: a challenger scores a share of the pictures that the live model has answered. Visitors see none of it.

It runs in one thread of low priority, after the answer went out, on the input that the live model was given. Whatever
does not fit a short queue is skipped, so that it never delays an answer. Where the two disagree and somebody says what
the picture shows, the row records what the challenger said: evidence about pictures that neither model was made with.
"""

import contextlib
import logging
import os
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catdog.errors import CatdogError, SettingsError
from catdog.hub.models import find_commit, load_commit
from catdog.model.model import Model, Prediction, Seen
from catdog.settings import Settings
from feedback.row import SHADOW
from web.metrics.metrics import Metrics
from web.service.predictions import RecentPredictions

_WAITING = 8
"""Inputs of some 600 kB each."""
_NICENESS = 15
_RETRY_S = 60.0
_STOP_TIMEOUT_S = 5.0
_ENTRY_BYTES = 1_000
_REMEMBERED_BYTES = 8_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Offer:
    """A picture that the live model has answered."""

    request_id: str
    seen: Seen


class Shadow:
    """Scores pictures a second time. Safe to use from many threads."""

    def __init__(
        self,
        load: Callable[[], Model],
        metrics: Metrics,
        *,
        share: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Put the parts together; nothing is loaded yet.

        Args:
            load: Loads the challenger; called in the thread, again and again until it works.
            metrics: Counts agreement.
            share: Of the pictures, in [0, 1].
            chance: A random number in [0, 1).
        """
        self._load = load
        self._metrics = metrics
        self._share = share
        self._chance = chance
        self._model: Model | None = None
        self._queue: queue.Queue[_Offer] = queue.Queue(maxsize=_WAITING)
        self._disagreed: RecentPredictions[Prediction] = RecentPredictions(max_bytes=_REMEMBERED_BYTES)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self.problem: str | None = None
        """Why nothing is scored; None if it is, or is about to be."""

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics, *, live: Callable[[], Model]) -> "Shadow | None":
        """The shadow that the settings ask for; None if they ask for none.

        Args:
            settings: Name the challenger.
            metrics: Counts agreement.
            live: The live model, which the challenger must resemble.
        """
        if not settings.challenger or not settings.challenger_share:
            return None
        name, _, revision = settings.challenger.partition("@")
        # The last good commit, which the data folder remembers, is the live model's.
        where = {"model": name, "model_revision": revision or "main", "data_dir": settings.data_dir / "challenger"}
        mine = settings.model_copy(update=where)
        return cls(lambda: _load(mine, live()), metrics, share=settings.challenger_share)

    @property
    def is_ready(self) -> bool:
        """Whether the challenger is loaded."""
        return self._model is not None

    def start(self) -> None:
        """Load the challenger, then score what is offered."""
        self._thread.start()

    def stop(self) -> None:
        """Score nothing more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def offer(self, request_id: str, seen: Seen) -> None:
        """Have a picture scored, if chance chooses it and there is time for it. Returns at once."""
        if self._model is None or self._chance() >= self._share:
            return
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(_Offer(request_id, seen))

    def facts(self, request_id: str) -> dict[str, Any]:
        """For the row of an answer: what the challenger said about the picture, if it disagreed; else nothing."""
        said = self._disagreed.get(request_id)
        if said is None:
            return {}
        about = {"model_id": said.model_id, "model_revision": said.model_revision}
        return {SHADOW: {**about, "label": said.label, "probabilities": list(said.probabilities)}}

    def _run(self) -> None:
        _lower_priority()
        while self._model is None and not self._stopped.is_set():
            self._try_to_load()
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Empty):
                self._score(self._queue.get(timeout=0.5))

    def _try_to_load(self) -> None:
        try:
            self._model = self._load()
        except CatdogError as error:
            if str(error) != self.problem:
                log.warning("No challenger runs in shadow. %s", error)
            self.problem = str(error)
            self._stopped.wait(_RETRY_S)
        else:
            self.problem = None
            log.info("%s at %s runs in shadow.", self._model.model_id, self._model.revision)

    def _score(self, offer: _Offer) -> None:
        model, champion = self._model, offer.seen.prediction
        # Another live model may have come since.
        if model is None or model.labels != champion.labels or model.revision == champion.model_revision:
            return
        try:
            said = model.predict_batch([offer.seen.pixels])[0]
        except CatdogError as error:
            log.warning("The challenger failed on a picture: %s", error)
            return
        agrees = said.label == champion.label
        self._metrics.shadowed(agrees=agrees, revision=model.revision)
        if not agrees:
            self._disagreed.put(offer.request_id, said, size=_ENTRY_BYTES)


def _load(settings: Settings, live: Model) -> Model:
    """Load the challenger.

    Raises:
        CatdogError: it cannot be loaded, or is for other pictures than the live model.
    """
    model = load_commit(settings, find_commit(settings))
    if model.labels != live.labels or model.metadata.preprocessing != live.metadata.preprocessing:
        raise SettingsError(
            f"CATDOG_CHALLENGER {settings.model} at {model.revision} has other labels, or another input, than the live "
            "model. Name a model that was retrained from it."
        )
    return model


def _lower_priority() -> None:
    """Of this thread, where the system has a priority for each."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
