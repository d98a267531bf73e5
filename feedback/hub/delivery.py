"""How the app sees what becomes of a correction: when it counts as saved, and how sending it to the Hub goes."""

from datetime import timedelta

from catdog.settings import Settings
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.sync import Syncer, SyncState
from feedback.journal.journal import Journal
from feedback.journal.outbox import Outbox
from feedback.row import RowStatus

GRACE_S = 8.0
"""How long the end of the process may wait for the last upload; orchestrators allow 10 s and more."""


class Delivery:
    """From the journal to where a correction counts as saved: this disk, or the Hub."""

    def __init__(self, journal: Journal, syncer: Syncer | None = None, *, remote: bool = False) -> None:
        """Put the parts together.

        Args:
            journal: Where corrections are.
            syncer: What sends them to the Hub; None where no data set is set.
            remote: Whether a correction counts as saved only once the Hub has it.
        """
        self._journal = journal
        self._syncer = syncer
        self.confirms_late = remote and syncer is not None
        """Whether a correction is only received at first, and saved when the Hub has it."""

    def start(self) -> None:
        """Begin to send."""
        if self._syncer:
            self._syncer.start()

    def stop(self) -> None:
        """Send what waits once more; what does not get through in time stays in the journal."""
        if self._syncer:
            self._syncer.stop(grace_s=GRACE_S)

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
    return Delivery(journal, syncer, remote=settings.remote_ack)


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
