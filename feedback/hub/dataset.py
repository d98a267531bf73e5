"""The feedback data set on the Hub: Parquet shards that are added, and rewritten only to remove a row."""

import logging
import random
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from catdog.errors import HubError, SettingsError
from catdog.settings import Settings
from feedback.journal.outbox import DECISIONS_FOLDER, ROWS_FOLDER, may_hold

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

log = logging.getLogger(__name__)

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

_CONNECT_S, _ANSWER_S = 10.0, 120.0
_CONFLICTS = 6
_MAX_RETRY_AFTER_S = 3600.0
_CLIENT_ERRORS = range(400, 500)
_NOT_FOUND = 404


class HubRequestError(HubError):
    """A request to the Hub failed."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; None if there was no answer."""
        self.retry_after_s = retry_after_s
        """How long the Hub asks to wait."""

    @property
    def is_refusal(self) -> bool:
        """Whether the Hub certainly did nothing; after a timeout or a 5xx it may have committed."""
        return self.status in _CLIENT_ERRORS

    @property
    def is_conflict(self) -> bool:
        """Whether somebody else committed in between."""
        return self.status in (409, 412)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit and its files."""

    commit: str
    paths: frozenset[str]

    def shards(self, folder: str) -> list[str]:
        """The Parquet files of a folder, in the order of their names."""
        return sorted(path for path in self.paths if path.startswith(f"{folder}/") and path.endswith(".parquet"))


class FeedbackDataset:
    """One data set repository. Every method may raise `HubRequestError` with a sentence that says what to do."""

    def __init__(self, api: "HfApi", repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = api

    @classmethod
    def open(cls, settings: Settings) -> "FeedbackDataset":
        """The data set of the settings; nothing is asked of the Hub yet.

        Raises:
            SettingsError: none is set.
        """
        from huggingface_hub import HfApi  # noqa: PLC0415 - a second of imports that an app without sync does without

        if not settings.feedback_repo:
            raise SettingsError("No data set is set for feedback. Set CATDOG_FEEDBACK_REPO to USER/NAME.")
        token = settings.hf_token.get_secret_value() if settings.hf_token else None
        return cls(HfApi(endpoint=settings.hf_endpoint, token=token), settings.feedback_repo)

    def other(self, repo_id: str) -> "FeedbackDataset":
        """Another data set on the same hub."""
        return FeedbackDataset(self._api, repo_id)

    def prepare(self) -> Head:
        """Make sure that the data set is there and can be written to; a new one is private."""
        from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

        try:
            with self._asking():
                self._api.auth_check(self.repo_id, repo_type="dataset", write=True)
                return self._head()
        except RepositoryNotFoundError:
            with self._asking(passes=False):
                self._api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)
                return self._head()

    def head(self) -> Head | None:
        """The newest commit; None if there is no such data set."""
        from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

        try:
            with self._asking():
                return self._head()
        except RepositoryNotFoundError:
            return None

    def add(self, files: Mapping[str, BinaryIO | None], *, message: str) -> None:
        """Make one commit on top of whatever is there, even while others commit too.

        Args:
            files: By path. One that is there is left alone: an earlier attempt was committed, though nobody told us,
                and it may have been rewritten since. None is nothing to add.
            message: Of the commit.
        """
        self._retrying(lambda head: self._add(head, files, message))

    def remove(self, ids: Collection[str], *, message: str) -> None:
        """Remove rows, and the decisions about them, from the newest commit and from the history."""
        self._retrying(lambda head: self._remove(head, frozenset(ids), message))
        with self._asking(passes=False):
            self._api.super_squash_history(self.repo_id, repo_type="dataset", commit_message=message)

    def download(self, head: Head, path: str, folder: Path) -> Path:
        """Fetch one file into a folder; what is there already is not fetched again."""
        with self._asking(passes=False):
            return Path(
                self._api.hf_hub_download(
                    self.repo_id, path, repo_type="dataset", revision=head.commit, local_dir=folder
                )
            )

    def _head(self) -> Head:
        info = self._api.dataset_info(self.repo_id, timeout=_ANSWER_S)
        return Head(str(info.sha), frozenset(file.rfilename for file in info.siblings or ()))

    def _retrying(self, attempt: Callable[[Head], None]) -> None:
        """Try again on top of the newer commit when another process or machine was quicker."""
        for left in reversed(range(_CONFLICTS)):
            try:
                return attempt(self.head() or self.prepare())
            except HubRequestError as error:
                if not error.is_conflict or not left:
                    raise
        raise AssertionError

    def _add(self, head: Head, files: Mapping[str, BinaryIO | None], message: str) -> None:
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

        new = {path: content for path, content in files.items() if content is not None and path not in head.paths}
        for content in new.values():
            content.seek(0)
        self._commit(head, [CommitOperationAdd(path, content) for path, content in new.items()], message)

    def _remove(self, head: Head, ids: frozenset[str], message: str) -> None:
        """Rewrite the shards that hold the rows; nothing of them stays on this disk."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415

        from feedback.hub.shards import without  # noqa: PLC0415 - pyarrow

        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="catdog-shards-")))
            for path in _affected(head, ids):
                found = without(self.download(head, path, folder), ids)
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
        with self._asking(passes=False):
            self._api.create_commit(
                self.repo_id,
                operations,
                repo_type="dataset",
                commit_message=message,
                parent_commit=head.commit,
                num_threads=1,
            )

    @contextmanager
    def _asking(self, *, passes: bool = True) -> Iterator[None]:
        """Set the client's patience, and turn what it raises into one sentence; `passes` lets a missing one through."""
        import httpx2  # noqa: PLC0415 - the Hub client's HTTP library; its connection errors are no OSError
        from huggingface_hub import errors, get_session  # noqa: PLC0415

        get_session().timeout = httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S)  # it has none, and could wait for ever
        try:
            yield
        except errors.RepositoryNotFoundError as error:
            if passes and error.response.status_code == _NOT_FOUND:
                raise
            raise self._error(error.response) from None
        except errors.HfHubHTTPError as error:
            raise self._error(error.response) from None
        except (httpx2.HTTPError, OSError) as error:
            raise HubRequestError(
                f"The Hub cannot be reached at {self._api.endpoint} ({type(error).__name__}). Check the network."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubRequestError(
                f"The answer of {self._api.endpoint} is not the Hub's ({type(error).__name__}). Check HF_ENDPOINT."
            ) from None

    def _error(self, response: Any) -> HubRequestError:
        status = int(response.status_code)
        sentence = _SENTENCES.get(status, f"The Hub answered {status}")
        return HubRequestError(
            f"{sentence}: {self.repo_id}. {_ADVICE.get(status, '')}".strip(),
            status=status,
            retry_after_s=_retry_after(response.headers.get("Retry-After")),
        )


_SENTENCES = {
    401: "The Hub does not know the token in HF_TOKEN",
    403: "The token in HF_TOKEN may not write to the feedback data set",
    404: "There is no such data set, or the token in HF_TOKEN may not see it",
    429: "The Hub asks to wait with the feedback data set",
}
_ADVICE = dict.fromkeys((401, 403), "Use one with the right to write to it.")


def _retry_after(value: str | None) -> float | None:
    """Seconds; the header may hold a date too, for which our own backoff is good enough."""
    if value is None or not value.strip().isdigit():
        return None
    return min(float(value), _MAX_RETRY_AFTER_S) + random.uniform(0, 1)  # noqa: S311 - so that not all come at once


def _affected(head: Head, ids: frozenset[str]) -> list[str]:
    """The shards that may hold rows, by their names; decisions may be about any row."""
    rows = [path for path in head.shards(ROWS_FOLDER) if any(may_hold(path, row_id) for row_id in ids)]
    return [*rows, *head.shards(DECISIONS_FOLDER)]
