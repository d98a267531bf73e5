"""`python -m train publish` and `promote`: a model folder becomes the next revision on the Hub, or the embedded one."""

import hashlib
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from catdog.errors import GateRefusedError, ModelError, SettingsError
from catdog.files import sync_tree
from catdog.hub.models import REVOKED_FILE
from catdog.hub.replacement import require_no_surprise
from catdog.model.metadata import METADATA_FILE, ONNX_FILE, WEIGHTS_FILE, FileHash, Metadata, load_metadata, verify_file
from catdog.model.model import Model
from train.failures import clear_disk_errors
from train.gate.history import HISTORY_FILE, History, merged, parse_history, read_history
from train.gate.report import GATE_FILE, read_report
from train.loop.repository import ConflictError, ModelRepository
from train.loop.revoked import Revocation, fingerprint, parse_metadata, read_revoked
from train.model_folder.card import CARD_FILE, render_card

KEPT_FILES = frozenset({".gitattributes", REVOKED_FILE, HISTORY_FILE})
"""Files of the repository that belong to no single model."""

_REQUIRED = ("config.json", WEIGHTS_FILE, ONNX_FILE, CARD_FILE)
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".tar")
_VERSION = re.compile(r"v([1-9][0-9]*)")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing."""

    commit: str
    tag: str
    new: bool
    """False if the repository held just this already."""


def publish(
    folder: Path,
    repository: ModelRepository,
    *,
    private: bool = False,
    expected_head: str | None = None,
    allow_change: bool = False,
) -> Published:
    """Make a model folder the newest revision of a repository, which is created if need be.

    Everything is checked before anything is sent. Files that the folder lacks are deleted from the repository.
    Publishing the same folder twice changes nothing; if the first time was interrupted, the second completes it.

    Args:
        folder: A model folder, as `python -m train fit` or `retrain` makes it.
        repository: Where to.
        private: Whether to create it as private.
        expected_head: The commit that `main` must be at; else the new revision follows whatever is there.
        allow_change: Whether labels, input or a worse test score may differ from the live model's.

    Raises:
        SettingsError: the model is unlike the live one.
        ModelError: the folder is incomplete or damaged.
        GateRefusedError: the gate refused this model, or it was rolled back in this repository.
        ConflictError: somebody else published at the same time.
        HubError: the Hub cannot be reached, or refuses.
    """
    metadata = check_folder(folder)
    content = repository_content(folder, metadata, repo_id=repository.repo_id)
    if looks := read_history(folder).looks:
        known = repository.read(HISTORY_FILE, head) if (head := repository.head()) else None
        content[HISTORY_FILE] = merged([History(looks=looks), parse_history(known)]).as_json()
    head = repository.head() or repository.create(private=private)
    if not allow_change:
        _require_likeness(repository, head, metadata)
    try:
        return _publish_onto(head, content, metadata, repository, expected_head)
    except ConflictError:
        if expected_head is not None:
            raise
        _log.info("main of %s moved meanwhile; trying once more on top of it", repository.repo_id)
        return _publish_onto(repository.head() or head, content, metadata, repository, None)


def check_folder(folder: Path) -> Metadata:
    """Check a model folder as a consumer would: every hash, no pickle, and that it loads.

    Raises:
        ModelError: it is incomplete or damaged.
        GateRefusedError: it holds the report of a gate that refused it.
    """
    metadata = load_metadata(folder)
    listed = {file.path for file in metadata.files}
    if missing := [path for path in _REQUIRED if path not in listed]:
        raise ModelError(f"{folder} is incomplete: {', '.join(missing)} missing from its list. Train the model again.")
    if pickles := [path for path in listed if path.endswith(_PICKLES)]:
        raise ModelError(f"{folder} holds {', '.join(pickles)}: pickles can run code and are never published.")
    for path in listed:
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise ModelError(f"{folder / METADATA_FILE} names {path}, which is outside the folder. Do not publish it.")
        verify_file(folder, metadata, path)
    Model.load(folder)
    if GATE_FILE in listed and not (report := read_report(folder / GATE_FILE)).accepted:
        raise GateRefusedError(f"The gate refused {folder}: {'; '.join(report.reasons)}. It is not published.")
    return metadata


def repository_content(folder: Path, metadata: Metadata, *, repo_id: str) -> dict[str, bytes]:
    """The files to publish, by path: those of the folder, with a card that names the repository."""
    content = {file.path: (folder / file.path).read_bytes() for file in metadata.files}
    content[CARD_FILE] = render_card(metadata, repo_id=repo_id).encode()
    return {**content, METADATA_FILE: _described(metadata, content[CARD_FILE])}


def next_tag(tags: Iterable[str]) -> str:
    """`v1`, or one more than the highest so far."""
    return f"v{1 + max((int(found[1]) for tag in tags if (found := _VERSION.fullmatch(tag))), default=0)}"


def _described(metadata: Metadata, card: bytes) -> bytes:
    """`metadata.json` with the hash of the new card."""
    hashed = FileHash(path=CARD_FILE, sha256=hashlib.sha256(card).hexdigest())
    files = tuple(hashed if file.path == CARD_FILE else file for file in metadata.files if file.path != HISTORY_FILE)
    return (metadata.model_copy(update={"files": files}).model_dump_json(indent=2) + "\n").encode()


def _publish_onto(
    head: str,
    content: Mapping[str, bytes],
    metadata: Metadata,
    repository: ModelRepository,
    expected_head: str | None,
) -> Published:
    if expected_head not in (None, head):
        raise ConflictError(f"main of {repository.repo_id} has moved on. Compare with what is there now, then publish.")
    _refuse_revoked(read_revoked(repository.read(REVOKED_FILE, head)), metadata, repository.repo_id)
    there = repository.files(head)
    add = {path: data for path, data in content.items() if path not in there or not there[path].holds(data)}
    delete = [path for path in there if path not in content and path not in KEPT_FILES]
    tags = repository.tags()
    if not add and not delete:
        return _finish(head, content, tags, repository)
    tag = next_tag(tags)
    commit = repository.commit(add, delete, message=f"Publish {tag}", parent=head)
    repository.tag(tag, commit, message=_summary(metadata))
    return Published(commit, tag, new=True)


def _finish(head: str, content: Mapping[str, bytes], tags: Mapping[str, str], repository: ModelRepository) -> Published:
    """The head is this model already: find its tag, or make the one that an interrupted publishing left out."""
    named = {commit: tag for tag, commit in tags.items() if _VERSION.fullmatch(tag)}
    for commit in (head, *(each for each in named if each != head)):
        # The metadata holds the hashes of all other files, so it tells two models apart.
        if commit in named and repository.read(METADATA_FILE, commit) == content[METADATA_FILE]:
            return Published(head, named[commit], new=False)
    tag = next_tag(tags)
    repository.tag(tag, head, message="Completed after an interruption")
    return Published(head, tag, new=False)


def _require_likeness(repository: ModelRepository, head: str, metadata: Metadata) -> None:
    """Apps follow the repository, and nobody expects another kind of model there."""
    if live := parse_metadata(repository.read(METADATA_FILE, head)):
        require_no_surprise(
            live, metadata, what="This model", than=f"the one in {repository.repo_id}", allow="add --allow-change"
        )


def _refuse_revoked(revoked: Iterable[Revocation], metadata: Metadata, repo_id: str) -> None:
    mine = fingerprint(metadata)
    for entry in revoked:
        if entry.fingerprint == mine:
            raise GateRefusedError(
                f"This model was rolled back in {repo_id} on {entry.at:%Y-%m-%d} ({entry.reason}). Train another one, "
                "or bring it back on purpose: `python -m train rollback --to` its tag."
            )


def _summary(metadata: Metadata) -> str:
    accuracy = metadata.metrics.get("test", {}).get("accuracy")
    return metadata.architecture if accuracy is None else f"{metadata.architecture}, test accuracy {accuracy:.4f}"


def promote(run: Path, target: Path, *, allow_change: bool = False) -> tuple[Metadata, Metadata | None]:
    """Check a model folder as publishing does, and put a copy in the place of another.

    Only the files that the metadata list are copied. The copy is made aside, so a crash leaves the old folder, or the
    new one, or for a moment both under other names; never half of one.

    Args:
        run: A model folder.
        target: The folder to replace; it may be missing.
        allow_change: Whether labels, input or a worse test score may differ from the replaced model's.

    Returns:
        The metadata of the new model, and of the one that it replaced.

    Raises:
        ModelError: the run is incomplete or damaged.
        GateRefusedError: the gate refused it.
        SettingsError: it differs from the model in its place, or the target is not a model folder.
        DataError: the disk is full.
    """
    metadata = check_folder(run)
    replaced = _replaced(target, metadata, allow_change=allow_change)
    aside, old = (target.resolve().with_name(f"{target.resolve().name}.{end}") for end in ("new", "old"))
    with clear_disk_errors(target):
        for folder in (aside, old):
            shutil.rmtree(folder, ignore_errors=True)
        for path in (METADATA_FILE, *(file.path for file in metadata.files)):
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / path, aside / path)
        sync_tree(aside)
        check_folder(aside)
        if target.exists():
            target.resolve().rename(old)
        aside.rename(target.resolve())
        shutil.rmtree(old, ignore_errors=True)
    return metadata, replaced


def _replaced(target: Path, metadata: Metadata, *, allow_change: bool) -> Metadata | None:
    """The model that is there now; other things aren't replaced, and nothing changes by accident."""
    if not target.exists():
        return None
    if not (target / METADATA_FILE).is_file():
        raise SettingsError(f"{target} exists and is not a model folder. Choose another --to, or delete it.")
    replaced = load_metadata(target)
    if not allow_change:
        there = f"the model in {target}"
        require_no_surprise(replaced, metadata, what="This model", than=there, allow="add --allow-change")
    return replaced
