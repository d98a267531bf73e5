"""Follows the model's repository: tries a newer revision in the background, then swaps it in without a restart."""

import logging
import threading
from collections.abc import Callable

from catdog.errors import HubError, ModelError, SettingsError
from catdog.hub.models import LoadedModel, find_commit, load_commit, was_rolled_back
from catdog.hub.replacement import require_no_surprise, surprises
from catdog.model.metadata import Metadata
from catdog.model.model import Model
from catdog.settings import Settings

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 5.0


class ModelWatcher:
    """Follows a branch or tag on the Hub from its own thread.

    A revision that can't be fetched, doesn't match its hashes or doesn't run never goes live: `problem` and the log say
    so, and the model that is live stays live. The same holds for one with other labels, another input or a worse test
    score, unless `CATDOG_ALLOW_MODEL_CHANGE` is set, or the live one was rolled back. A service that started with its
    cached or embedded model gets the newest one as soon as the Hub responds. A model folder is not watched.
    """

    def __init__(
        self, settings: Settings, live: LoadedModel, swap: Callable[[LoadedModel], None], *, every_s: float
    ) -> None:
        """Put the parts together.

        Args:
            settings: Name the repository, its revision and the Hub.
            live: The model that is live now.
            swap: Called with each new model, in the watcher's thread; must be quick.
            every_s: Seconds between two checks; 0 disables them.
        """
        self._settings = settings
        self._live = live
        self._swap = swap
        self._every_s = every_s
        self._broken: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem: str | None = live.problem
        """Why the newest revision is not live; None if it is."""

    def start(self) -> None:
        """Start watching, unless there is nothing to watch."""
        if self._every_s <= 0 or self._live.origin == "folder":
            return
        self._thread = threading.Thread(target=self._run, name="model-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; a download in progress ends with the process."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def look(self) -> None:
        """Check once; swap if there is a newer model that works. Called by the watcher's thread, or by a test."""
        try:
            self._follow(find_commit(self._settings))
        except (HubError, ModelError, SettingsError) as error:
            if str(error) != self.problem:
                logger.warning("The model that was live stays live. %s", error)
            self.problem = str(error)
        else:
            self.problem = None

    def _run(self) -> None:
        # One that started from the cache has not asked the Hub yet.
        first_s = 0.0 if self._live.origin == "cache" and self._live.problem is None else self._every_s
        while not self._stopped.wait(first_s):
            first_s = self._every_s
            try:
                self.look()
            except Exception as error:  # without this thread no newer model would ever go live
                # Everybody sees the problem in `/health`, so it is not in the library's words.
                problem = (
                    f"Checking for a newer model failed unexpectedly ({type(error).__name__}). See the log for details."
                )
                if problem != self.problem:
                    logger.exception("The model that was live stays live. %s", problem)
                self.problem = problem

    def _follow(self, commit: str) -> None:
        model = self._live.model
        if model.revision != commit:
            model = self._load(commit)
        elif self._live.origin == "hub":
            return
        live = LoadedModel(model, "hub")
        if not self._stopped.is_set():
            self._swap(live)
            logger.info("The model %s at %s is live now.", model.model_id, commit)
        self._live = live

    def _load(self, commit: str) -> Model:
        """Load a commit; a broken one is not fetched again, since a commit never changes."""
        if commit in self._broken:
            raise ModelError(self._broken[commit])
        try:
            return load_commit(self._settings, commit, check=lambda metadata: self._require_likeness(commit, metadata))
        except ModelError as error:
            self._broken[commit] = f"Revision {commit} of {self._settings.model} is broken and not used: {error}"
            raise ModelError(self._broken[commit]) from error

    def _require_likeness(self, commit: str, metadata: Metadata) -> None:
        """A model of other things may have been published by accident; the embedded one only stands in for another."""
        live = self._live.model
        allowed = self._settings.allow_model_change or self._live.origin == "embedded"
        if allowed or not surprises(live.metadata, metadata):
            return
        if not was_rolled_back(self._settings, commit, before=live.revision):
            require_no_surprise(
                live.metadata,
                metadata,
                what=f"Revision {commit} of {self._settings.model} is not used: it",
                than="the live model",
                allow="set CATDOG_ALLOW_MODEL_CHANGE=true and restart",
            )
