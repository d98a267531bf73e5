"""A newer model without a restart: look, load and check aside, then swap in one step."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from catdog.errors import HubError, ModelError
from catdog.hub.models import LoadedModel, find_commit, load_commit
from catdog.model.model import Model
from catdog.settings import Settings

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 5.0


class ModelWatcher:
    """Follows a branch or tag of the Hub from a thread of its own.

    A revision that cannot be fetched, does not match its hashes or does not run never becomes live: `problem` says so,
    the log too, and what was live stays live. A service that began with its cached or embedded model gets the
    Hub's as soon as the Hub answers. A model folder is never watched.
    """

    def __init__(
        self, settings: Settings, live: LoadedModel, swap: Callable[[LoadedModel], None], *, every_s: float
    ) -> None:
        """Put the parts together.

        Args:
            settings: Name the repository, its revision and the Hub.
            live: The model that answers now.
            swap: Called with each new model, in the watcher's thread; must be quick.
            every_s: Seconds between two looks; 0 never looks.
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
        self.last_look: datetime | None = None

    def start(self) -> None:
        """Begin to look, unless there is nothing to look for."""
        if self._every_s <= 0 or self._live.origin == "folder":
            return
        self._thread = threading.Thread(target=self._run, name="model-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a download under way is left to the end of the process."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def look(self) -> None:
        """Look once; swap if there is a newer model that works. Only the watcher's thread, or a test, calls this."""
        try:
            self._follow(find_commit(self._settings))
        except (HubError, ModelError) as error:
            if str(error) != self.problem:
                logger.warning("The model that was live stays live. %s", error)
            self.problem = str(error)
        else:
            self.problem = None
        self.last_look = datetime.now(UTC)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self.look()
            except Exception as error:  # without this thread no newer model would ever go live
                # Everybody sees the problem in `/health`, so it is not told in the library's words.
                problem = (
                    f"Looking for a newer model failed unexpectedly ({type(error).__name__}). The log has the details."
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
        """Load a commit; one that was found broken is not fetched again, since a commit never changes."""
        if commit in self._broken:
            raise ModelError(self._broken[commit])
        try:
            return load_commit(self._settings, commit)
        except ModelError as error:
            self._broken[commit] = f"Revision {commit} of {self._settings.model} is broken and not used: {error}"
            raise ModelError(self._broken[commit]) from error
