"""All feedback that there is: the rows and decisions on the Hub, and those that only this journal has."""

import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from catdog.cli import counted
from catdog.errors import FeedbackError, HubError
from catdog.settings import Settings
from feedback.decision import Decision, ReviewedRow, newest
from feedback.hub.dataset import FeedbackDataset, Head
from feedback.hub.shards import MAX_SHARDS, TriedShards
from feedback.journal.journal import Journal
from feedback.journal.outbox import DECISIONS_FOLDER, ROWS_FOLDER, may_hold
from feedback.row import FeedbackRow
from feedback.stats import AnswerCount, Stats
from feedback.votes import counting

log = logging.getLogger(__name__)

_MOST_OF_FREE = 0.5
MIRROR_FOLDER = "hub-shards"
"""In the data folder: the shards of the newest commit, and no others."""


class Collection:
    """Reads the Hub's shards together with a journal, so that every machine with a token sees the same.

    Which rows count is for `feedback.votes` to say.
    """

    def __init__(
        self,
        journal: Journal,
        dataset: FeedbackDataset | None,
        data_dir: Path,
        *,
        max_age_s: float,
        alone: bool = False,
    ) -> None:
        """Make a collection; nothing is read yet.

        Args:
            journal: This machine's rows; deletions that it knows of are respected.
            dataset: The Hub's rows; None where no data set is set.
            data_dir: Where to keep copies of the shards; if nothing can be written there, they are temporary.
            max_age_s: For how long not to ask the Hub again.
            alone: Whether to go on with the journal and the copies that are there when the Hub cannot be reached, which
                `problem` tells then; else that is an error.
        """
        self._journal = journal
        self._dataset = dataset
        self._temporary = None if _is_writable(data_dir) else tempfile.TemporaryDirectory(prefix="catdog-hub-")
        self._folder = (Path(self._temporary.name) if self._temporary else data_dir) / MIRROR_FOLDER
        self._max_age_s = max_age_s
        self._alone = alone
        self._head: Head | None = None
        self._looked_at = 0.0
        self._problems: dict[Path, str] = {}  # of each copy; empty where there is none
        self.problem: str | None = None
        """Why rows and decisions that only the Hub has may have been missing at the last look; None if none was."""
        self.left_out: str | None = None
        """Which files of the data set were left out at the last look, and why; None if none was."""

    @property
    def revision(self) -> str | None:
        """The Hub's commit that is read; None if it has no such data set."""
        head = self._newest()
        return head.commit if head else None

    def version(self) -> Hashable:
        """What is another than before where `reviewed` may give something else.

        Raises:
            FeedbackError: the journal cannot be read.
        """
        if self._dataset is not None and self._is_old():
            return object()
        return self._journal.version(), self._head.commit if self._head else None, self._looked_at

    def reviewed(self, *, pictures: bool = True) -> Iterator[ReviewedRow]:
        """The rows that count, with what was decided about them.

        Args:
            pictures: If not, `image` is empty, which takes far less time.

        Raises:
            HubError: the Hub cannot be reached, or refuses.
            FeedbackError: the journal or a shard cannot be read.
        """
        rows = counting(self._rows(pictures=False))
        decided = newest(self._decisions())
        if not pictures:
            yield from (ReviewedRow(row, decided.get(row_id)) for row_id, row in sorted(rows.items()))
            return
        for row in self._rows(pictures=True):
            if row.id in rows:
                yield ReviewedRow(row, decided.get(row.id))

    def picture(self, row_id: str) -> bytes | None:
        """The picture of a row as a JPEG; None if there is none, or none any more."""
        if row_id in self._journal.deleted_ids():
            return None
        found = self._journal.picture(row_id)
        if found is not None or self._dataset is None:
            return found
        from feedback.hub.parquet import read_rows  # noqa: PLC0415 - pyarrow

        paths = [path for path in self._shards(ROWS_FOLDER) if may_hold(path.name, row_id)]
        found = next((row.image for path in paths for row in read_rows(path) if row.id == row_id), None)
        if found is None and self.problem:
            raise HubError(f"The picture is on the Hub alone. {self.problem}")
        return found

    def stats(self) -> Stats:
        """Count what there is."""
        rows = list(self._rows(pictures=False))
        answers = Counter(
            (row.predicted_label, row.corrected_label, row.model_id, row.model_revision)
            for row in counting(rows).values()
            if not row.is_audit
        )
        times = [row.created_at for row in rows]
        return Stats(
            rows=len(rows),
            first_at=min(times, default=None),
            last_at=max(times, default=None),
            answers=tuple(AnswerCount(*answer, requests) for answer, requests in sorted(answers.items())),
        )

    def all_rows(self) -> Iterator[FeedbackRow]:
        """Every row, also those that do not count, without their pictures."""
        return self._rows(pictures=False)

    def forget_copies(self) -> None:
        """Delete the copies of the shards."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._head = None

    def _rows(self, *, pictures: bool) -> Iterator[FeedbackRow]:
        """Each row once, wherever it is; pictures that have left the journal come from the Hub."""
        deleted, seen = self._journal.deleted_ids(), set[str]()
        for row in self._journal.rows(pictures=pictures):
            seen.add(row.id)
            yield row
        for row in self._hub_rows(pictures=pictures):
            if row.id not in seen and row.id not in deleted:
                seen.add(row.id)
                yield row

    def _hub_rows(self, *, pictures: bool) -> Iterator[FeedbackRow]:
        if self._dataset is not None:
            from feedback.hub.parquet import read_rows  # noqa: PLC0415 - pyarrow

            for path in self._shards(ROWS_FOLDER):
                yield from read_rows(path, pictures=pictures)

    def _decisions(self) -> Iterable[Decision]:
        yield from self._journal.decisions()
        if self._dataset is not None:
            from feedback.hub.parquet import read_decisions  # noqa: PLC0415 - pyarrow

            for path in self._shards(DECISIONS_FOLDER):
                yield from read_decisions(path)

    def _shards(self, folder: str) -> list[Path]:
        """Copies of a folder's shards; where the Hub cannot be reached and need not be, those that are there."""
        if self.problem is None or self._is_old():
            try:
                found = self._fetch(folder)
            except HubError as error:
                if not self._alone:
                    raise
                self.problem, self._looked_at = str(error), time.monotonic()
            else:
                self.problem = None
                return self._readable(found)
        return self._readable(sorted((self._folder / folder).glob("*.parquet")))

    def _fetch(self, folder: str) -> list[Path]:
        """The shards at the newest commit; a copy is fetched once, and deleted with its original."""
        assert self._dataset is not None
        head = self._newest()
        paths = head.shards(folder) if head else []
        for path in (self._folder / folder).glob("*.parquet"):
            if f"{folder}/{path.name}" not in paths:
                path.unlink(missing_ok=True)
                self._problems.pop(path, None)
        if head is None:
            return []
        self._check_room(head, paths)
        return [self._dataset.download(head, path, self._folder) for path in paths]

    def _check_room(self, head: Head, paths: Sequence[str]) -> None:
        """See that copies of the shards leave room on this disk, where corrections must be kept."""
        missing = sum(head.sizes.get(path, 0) for path in paths if not (self._folder / path).exists())
        if len(paths) > MAX_SHARDS or missing > _MOST_OF_FREE * shutil.disk_usage(_existing(self._folder)).free:
            raise FeedbackError(
                f"The feedback data set has {counted(len(paths), 'file')}, of which {missing / 1e6:,.0f} MB are not "
                "here yet. That is more than fits on this disk. Delete on the Hub what is not feedback."
            )

    def _readable(self, copies: list[Path]) -> list[Path]:
        """The shards that may be read; the others are left out where that need not be an error."""
        self._problems |= dict.fromkeys(copies, "") | TriedShards(self._folder).problems(copies)
        why = sorted({problem for problem in self._problems.values() if problem})
        left_out = f"{counted(len(why), 'file')} of the feedback data set can't be used. {why[0]}" if why else None
        if left_out and not self._alone:
            raise FeedbackError(left_out)
        if left_out and left_out != self.left_out:
            log.warning("%s", left_out)
        self.left_out = left_out
        return [path for path in copies if not self._problems[path]]

    def _newest(self) -> Head | None:
        assert self._dataset is not None
        if self._head is None or self._is_old():
            self._head, self._looked_at = self._dataset.head(), time.monotonic()
        return self._head

    def _is_old(self) -> bool:
        return time.monotonic() - self._looked_at >= self._max_age_s


def _existing(folder: Path) -> Path:
    """A folder, or the one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _is_writable(folder: Path) -> bool:
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)


def create_collection(journal: Journal, settings: Settings, *, max_age_s: float, alone: bool = False) -> Collection:
    """The journal's rows, with those of the data set of the settings, if there is one."""
    dataset = FeedbackDataset.of(settings) if settings.feedback_repo else None
    return Collection(journal, dataset, settings.data_dir, max_age_s=max_age_s, alone=alone)
