"""`python -m train rollback`: an earlier revision comes back, and the bad one is marked so that it stays away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catdog.errors import SettingsError
from catdog.hub.models import REVOKED_FILE
from catdog.model.metadata import METADATA_FILE, load_metadata
from catdog.model.model import Model
from train.gate.history import HISTORY_FILE
from train.loop.publish import KEPT_FILES
from train.loop.repository import ModelRepository
from train.loop.revoked import Revocation, fingerprint, parse_metadata, read_revoked, write_revoked


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What came of a rollback."""

    commit: str
    """Of `main` now."""
    revoked: str | None
    """The commit that was marked; None if `main` held the tag's files already."""


def rollback(repository: ModelRepository, *, to: str, reason: str, now: datetime) -> RolledBack:
    """Restore exactly the files of a tag by one commit on `main`, and mark the model that was there.

    A mark on the restored model itself, from an earlier rollback, is lifted.

    Args:
        repository: Which one.
        to: The tag, for example `v1`.
        reason: Why, for whoever reads `revoked.json`.
        now: When, with its time zone.

    Raises:
        SettingsError: there is no such repository or tag.
        ModelError: the tag's own files are damaged.
        ConflictError: somebody else published at the same time; nothing was changed.
        HubError: the Hub cannot be reached, or refuses.
    """
    head, good = _find(repository, to)
    folder = repository.download(good)
    Model.load(folder)
    restored = load_metadata(folder)
    there, wanted = repository.files(head), repository.files(good)
    changed = [path for path in wanted if there.get(path) != wanted[path] and path not in (REVOKED_FILE, HISTORY_FILE)]
    gone = [path for path in there if path not in wanted and path not in KEPT_FILES]
    if not changed and not gone:
        return RolledBack(head, None)
    before = read_revoked(repository.read(REVOKED_FILE, head))
    bad = Revocation(commit=head, fingerprint=_fingerprint(repository, head), restored=to, reason=reason, at=now)
    add = {path: (folder / path).read_bytes() for path in changed}
    add[REVOKED_FILE] = write_revoked(_marked(before, bad, fingerprint(restored)))
    commit = repository.commit(add, gone, message=f"Roll back to {to}: {reason}", parent=head)
    return RolledBack(commit, head)


def _find(repository: ModelRepository, tag: str) -> tuple[str, str]:
    """The commits of `main` and of the tag."""
    head = repository.head()
    if head is None:
        raise SettingsError(f"There is no repository {repository.repo_id} that this token may see.")
    tags = repository.tags()
    if tag not in tags:
        raise SettingsError(f"{repository.repo_id} has no tag {tag}; it has {', '.join(sorted(tags)) or 'none'}.")
    return head, tags[tag]


def _fingerprint(repository: ModelRepository, commit: str) -> str:
    """Of the bad model; empty where it is too broken to tell, for then nothing can be published like it."""
    metadata = parse_metadata(repository.read(METADATA_FILE, commit))
    return fingerprint(metadata) if metadata else ""


def _marked(before: Sequence[Revocation], bad: Revocation, restored: str) -> list[Revocation]:
    return [entry for entry in (*before, bad) if entry.fingerprint != restored]
