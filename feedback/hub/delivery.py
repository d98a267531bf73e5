"""What happens to a correction once the journal has it: when it counts as saved, and how syncing goes."""

import logging
import threading
from datetime import UTC, datetime, timedelta

from catdog.errors import FeedbackError
from catdog.settings import Settings
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.sync import Syncer, SyncState
from feedback.journal.journal import Journal
from feedback.journal.outbox import Outbox
from feedback.keys import ClientKeys
from feedback.row import RowStatus

log = logging.getLogger(__name__)

_KEYS_CHECKED_EVERY_S = 3600.0
GRACE_S = 8.0
"""How long the end of the process may wait for the last upload; orchestrators allow 10 s and more."""


class Delivery:
    """From the journal to where a correction counts as saved: this disk, or the Hub."""

    def __init__(
        self, journal: Journal, syncer: Syncer | None = None, *, remote: bool = False, keys: ClientKeys | None = None
    ) -> None:
        """Put the parts together.

        Args:
            journal: Where corrections are.
            syncer: What sends them to the Hub; None where no data set is set.
            remote: Whether a correction counts as saved only once the Hub has it.
            keys: Client keys, destroyed when they expire, with or without feedback.
        """
        self._journal = journal
        self._keys = keys
        self._stopped = threading.Event()
        self._syncer = syncer
        self.confirms_late = remote and syncer is not None
        """Whether a correction is only received at first, and saved when the Hub has it."""

    def start(self) -> None:
        """Start sending, watching for expired keys, and checking a large journal."""
        self._stopped.clear()
        threading.Thread(target=self._journal.check_rest, name="journal-check", daemon=True).start()
        if self._keys:
            threading.Thread(target=self._destroy_keys, args=(self._keys,), name="client-keys", daemon=True).start()
        if self._syncer:
            self._syncer.start()

    def stop(self) -> None:
        """Send what waits once more; what is not sent in time stays in the journal."""
        self._stopped.set()
        if self._syncer:
            self._syncer.stop(grace_s=GRACE_S)

    def _destroy_keys(self, keys: ClientKeys) -> None:
        while True:
            try:
                keys.destroy_expired(datetime.now(UTC))
            except FeedbackError as error:
                log.warning("%s", error)
            if self._stopped.wait(_KEYS_CHECKED_EVERY_S):
                return

    def acknowledge(self, row_id: str) -> RowStatus:
        """What to tell somebody whose row is in the journal now; if that is not enough, it is sent soon."""
        if not self.confirms_late or self._syncer is None:
            return RowStatus.SAVED
        status = self.status(row_id) or RowStatus.RECEIVED
        if status is RowStatus.RECEIVED:
            self._syncer.hurry()
        return status

    def status(self, row_id: str) -> RowStatus | None:
        """Where a row is; None if there is none."""
        return self._journal.status(row_id, remote=self.confirms_late)

    def state(self) -> SyncState | None:
        """How sending goes; None where nothing is sent."""
        return self._syncer.state() if self._syncer else None


def create_delivery(journal: Journal, settings: Settings) -> Delivery:
    """What the settings ask for. Nothing is asked of the Hub yet: the app must start while it is down."""
    syncer = create_syncer(journal, settings) if settings.feedback_repo else None
    return Delivery(journal, syncer, remote=settings.remote_ack, keys=ClientKeys(settings.data_dir))


def create_syncer(journal: Journal, settings: Settings) -> Syncer:
    """What sends a journal's rows to the data set of the settings.

    Raises:
        SettingsError: none is set.
    """
    return Syncer(
        Outbox(journal),
        FeedbackDataset.of(settings),
        data_dir=settings.data_dir,
        every_s=settings.sync_seconds,
        retain=timedelta(days=settings.retain_days),
        commits_per_hour=settings.commits_per_hour,
    )
