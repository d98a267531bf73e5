"""A model's repository on the Hub: what its revisions hold, and commits in which nobody's work gets lost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from catdog.errors import HubError, SettingsError
from catdog.hub.client import HubClient, StoredFile
from catdog.settings import Settings
from train.gate.history import HISTORY_FILE, History, merged, parse_history, read_history

MAIN = "main"


REFUSED_BRANCH = "refused"
"""What the gate refused is noted here: `main` moves only for a model, since every app follows it."""


class ConflictError(HubError):
    """Somebody else committed in between."""


class ModelRepository:
    """One model repository. Every method may raise `HubError` with a sentence that says what to do."""

    def __init__(self, client: HubClient, repo_id: str) -> None:
        self.repo_id = repo_id
        self._client = client
        self._api = client.api

    @classmethod
    def open(cls, repo_id: str, settings: Settings) -> "ModelRepository":
        """The repository on the hub of the settings; without a token there, the one that `hf auth login` stored.

        Raises:
            SettingsError: this is not a name of a repository.
        """
        user, _, name = repo_id.partition("/")
        if not user or not name or "/" in name:
            raise SettingsError(f"{repo_id!r} is not a Hub repository. Write USER/NAME.")
        return cls(HubClient.of(settings), repo_id)

    def head(self) -> str | None:
        """The commit of `main`; None if there is no such repository, or none that the token may see."""
        return self.resolve(MAIN)

    def resolve(self, revision: str) -> str | None:
        """The commit behind a branch, a tag or a commit; None if there is none."""
        try:
            with self._client.errors(f"read {self.repo_id}", passes=(RepositoryNotFoundError, RevisionNotFoundError)):
                return self._api.model_info(self.repo_id, revision=revision).sha
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return None

    def create(self, *, private: bool) -> str:
        """Make the repository, empty; returns its first commit."""
        with self._client.errors(f"create {self.repo_id}"):
            self._api.create_repo(self.repo_id, private=private, exist_ok=True)
        head = self.head()
        if head is None:
            raise HubError(f"{self.repo_id} exists, but this token may not read it. Use one that may write to it.")
        return head

    def files(self, commit: str) -> dict[str, StoredFile]:
        """All files of a commit, by path."""
        with self._client.errors(f"list {self.repo_id}"):
            tree = list(self._api.list_repo_tree(self.repo_id, recursive=True, revision=commit))
        return {
            item.path: StoredFile(item.lfs.sha256 if item.lfs else None, item.blob_id)
            for item in tree
            if isinstance(item, RepoFile)
        }

    def tags(self) -> dict[str, str]:
        """From a tag to its commit."""
        with self._client.errors(f"list the tags of {self.repo_id}"):
            return {tag.name: tag.target_commit for tag in self._api.list_repo_refs(self.repo_id).tags}

    def read(self, path: str, commit: str) -> bytes | None:
        """A small file's content; None if the commit has no such file."""
        if path not in self.files(commit):
            return None
        with self._client.errors(f"read {path} of {self.repo_id}"):
            return Path(self._api.hf_hub_download(self.repo_id, path, revision=commit)).read_bytes()

    def download(self, commit: str) -> Path:
        """A folder with the files of a commit; not to be written to."""
        with self._client.errors(f"download {self.repo_id}"):
            return Path(self._api.snapshot_download(self.repo_id, revision=commit))

    def commit(
        self,
        add: Mapping[str, bytes],
        delete: Sequence[str],
        *,
        message: str,
        parent: str,
        branch: str = MAIN,
    ) -> str:
        """Make one commit and return it.

        Raises:
            ConflictError: the branch is no longer at `parent`; nothing was changed.
        """
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, content) for path, content in add.items()),
            *(CommitOperationDelete(path) for path in delete),
        ]
        try:
            with self._client.errors(f"write to {self.repo_id}"):
                return self._api.create_commit(
                    self.repo_id, operations, commit_message=message, parent_commit=parent, revision=branch
                ).oid
        except HubError as error:
            raise ConflictError(str(error)) if error.is_conflict else error from None

    def create_branch(self, branch: str, commit: str) -> None:
        """Make a branch, if it is not there."""
        with self._client.errors(f"create a branch in {self.repo_id}"):
            self._api.create_branch(self.repo_id, branch=branch, revision=commit, exist_ok=True)

    def tag(self, name: str, commit: str, *, message: str) -> None:
        """Tag a commit."""
        with self._client.errors(f"tag {self.repo_id}"):
            self._api.create_tag(self.repo_id, tag=name, revision=commit, tag_message=message)


def known_looks(base: Path, champion: str, runs: Path, repository: ModelRepository | None) -> History:
    """All looks that are known when a challenger of a model is to be judged.

    Args:
        base: The folder of that model.
        champion: Its revision: of the looks kept in `runs`, only those at challengers of this one count.
        runs: The folder of the challengers; it may be missing.
        repository: Where the challenger is to be published, if anywhere.

    Raises:
        ModelError: a history is damaged.
        HubError: the Hub cannot be reached, or refuses.
    """
    beside = tuple(look for look in read_history(runs).looks if look.champion == champion)
    there = [_looks_at(repository, branch) for branch in (MAIN, REFUSED_BRANCH)] if repository else []
    return merged([read_history(base), History(looks=beside), *there])


def publish_refusal(history: History, repository: ModelRepository, head: str) -> None:
    """Note looks on the branch `refused`.

    Raises:
        ConflictError: somebody else wrote to it at the same time.
        HubError: the Hub cannot be reached, or refuses.
    """
    repository.create_branch(REFUSED_BRANCH, head)
    parent = repository.resolve(REFUSED_BRANCH) or head
    everything = merged([history, _looks_at(repository, REFUSED_BRANCH)])
    repository.commit(
        {HISTORY_FILE: everything.as_json()}, [], message="The gate refused", parent=parent, branch=REFUSED_BRANCH
    )


def _looks_at(repository: ModelRepository, branch: str) -> History:
    commit = repository.resolve(branch)
    content = repository.read(HISTORY_FILE, commit) if commit else None
    return parse_history(content, place=f"{HISTORY_FILE} in {repository.repo_id}")
