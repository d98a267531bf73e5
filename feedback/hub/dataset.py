"""The feedback data set on the Hub: Parquet shards that are added, and rewritten only to remove a row."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from catdog.errors import FeedbackError, HubError, SettingsError
from catdog.hub.client import HubClient, retry_conflicts
from catdog.settings import Settings
from feedback.hub.shards import MAX_SHARD_BYTES, try_shards
from feedback.journal.outbox import DECISIONS_FOLDER, ROWS_FOLDER, may_hold

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

README = "README.md"
_CARD = f"""---
configs:
- config_name: rows
  default: true
  data_files: {ROWS_FOLDER}/*.parquet
- config_name: decisions
  data_files: {DECISIONS_FOLDER}/*.parquet
tags:
- feedback
---

# Feedback

What people said about the answers of an image classifier: one row an answer, with the picture, the model's
probabilities (`predicted_label`, `labels`, `probabilities`) and the person's answer (`corrected_label`). A changed
answer is a new row with the same `request_id`; the newest counts. What the maintainer decided about a row is in the
configuration `decisions` (`row_id`, `status`, `corrected_label`); the newest counts there too.

```python
from datasets import load_dataset

rows = load_dataset("REPO_ID", "rows", split="train")
decisions = load_dataset("REPO_ID", "decisions", split="train")
```

The application only adds shards. Where a person takes an answer back, its shard is rewritten without the row, and the
history is squashed: pin no commit of this data set.
"""

_RESPONSE_S = 120.0
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit and its files."""

    commit: str
    paths: frozenset[str]
    sizes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """In bytes, where the Hub tells."""

    def shards(self, folder: str) -> list[str]:
        """The Parquet files of a folder, in the order of their names."""
        return sorted(path for path in self.paths if path.startswith(f"{folder}/") and path.endswith(".parquet"))


class FeedbackDataset:
    """One data set repository. Every method may raise `HubError` with a sentence that says what to do."""

    def __init__(self, client: HubClient, repo_id: str) -> None:
        self.repo_id = repo_id
        self._client = client

    @classmethod
    def of(cls, settings: Settings) -> "FeedbackDataset":
        """The data set of the settings; doesn't ask the Hub yet.

        Raises:
            SettingsError: none is set.
        """
        if not settings.feedback_repo:
            raise SettingsError("No feedback data set is configured. Set CATDOG_FEEDBACK_REPO to USER/NAME.")
        return cls(HubClient.of(settings), settings.feedback_repo)

    def other(self, repo_id: str) -> "FeedbackDataset":
        """Another data set on the same hub."""
        return FeedbackDataset(self._client, repo_id)

    def prepare(self) -> Head:
        """Make sure that the data set exists and can be written to; a new one is private."""
        with self._errors("write to"):
            found = self.head(write=True)
            if found is not None:
                return found
            self._client.api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)
            return self._head()

    def head(self, *, write: bool = False) -> Head | None:
        """The newest commit; None if there is no such data set.

        Args:
            write: Whether the token must be allowed to write.
        """
        from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

        with self._errors("write to" if write else "read"):
            try:
                if write:
                    self._client.api.auth_check(self.repo_id, repo_type="dataset", write=True)
                return self._head()
            except RepositoryNotFoundError as error:
                if error.response.status_code != _NOT_FOUND:
                    raise
                return None

    def add(self, files: Mapping[str, BinaryIO | None], *, message: str) -> None:
        """Make one commit on top of whatever is there, even while others commit too.

        Args:
            files: By path. One that is there is left alone: an earlier attempt was committed, though nobody told us,
                and it may have been rewritten since. None is nothing to add.
            message: Of the commit.
        """
        retry_conflicts(lambda: self._add(self.head() or self.prepare(), files, message))

    def remove(self, ids: Collection[str], *, message: str) -> None:
        """Remove rows, and the decisions about them, from the newest commit and from the history."""
        retry_conflicts(lambda: self._remove(self.head() or self.prepare(), frozenset(ids), message))
        with self._errors("remove rows from"):
            self._client.api.super_squash_history(self.repo_id, repo_type="dataset", commit_message=message)

    def download(self, head: Head, path: str, folder: Path) -> Path:
        """Fetch one file into a folder, unless it is there already."""
        if head.sizes.get(path, 0) > MAX_SHARD_BYTES:
            raise HubError(f"{path} of {self.repo_id} is too large for a shard. Delete it on the Hub.")
        with self._errors("read"):
            return Path(
                self._client.api.hf_hub_download(
                    self.repo_id, path, repo_type="dataset", revision=head.commit, local_dir=folder
                )
            )

    def _head(self) -> Head:
        info = self._client.api.dataset_info(self.repo_id, timeout=_RESPONSE_S, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        return Head(str(info.sha), frozenset(sizes), sizes)

    def _errors(self, action: str) -> AbstractContextManager[None]:
        return self._client.errors(f"{action} the data set {self.repo_id}")

    def _add(self, head: Head, files: Mapping[str, BinaryIO | None], message: str) -> None:
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

        new = {path: content for path, content in files.items() if content is not None and path not in head.paths}
        for content in new.values():
            content.seek(0)
        self._commit(head, [CommitOperationAdd(path, content) for path, content in new.items()], message)

    def _remove(self, head: Head, ids: frozenset[str], message: str) -> None:
        """Rewrite the shards that hold the rows; nothing of them stays on this disk."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415

        from feedback.hub.parquet import without  # noqa: PLC0415 - pyarrow

        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="catdog-shards-")))
            for path in _affected(head, ids):
                copy = self.download(head, path, folder)
                if problem := try_shards([copy])[copy]:
                    raise FeedbackError(problem)
                found = without(copy, ids)
                if found and found.content:
                    operations.append(CommitOperationAdd(path, stack.enter_context(found.content)))
                elif found:
                    operations.append(CommitOperationDelete(path))
            self._commit(head, operations, message)

    def _commit(
        self, head: Head, operations: "Sequence[CommitOperationAdd | CommitOperationDelete]", message: str
    ) -> None:
        """Commit onto `head` or not at all: an answer that was lost must not bring back what was removed since."""
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

        card = CommitOperationAdd(README, _CARD.replace("REPO_ID", self.repo_id).encode())
        operations = [*operations, *(() if README in head.paths else (card,))]
        if not operations:
            return
        with self._errors("write to"):
            self._client.api.create_commit(
                self.repo_id,
                operations,
                repo_type="dataset",
                commit_message=message,
                parent_commit=head.commit,
                num_threads=1,
            )


def _affected(head: Head, ids: frozenset[str]) -> list[str]:
    """The shards that may hold rows, by their names; decisions may be about any row."""
    rows = [path for path in head.shards(ROWS_FOLDER) if any(may_hold(path, row_id) for row_id in ids)]
    return [*rows, *head.shards(DECISIONS_FOLDER)]
