"""Which model to serve: a folder, a Hub repository, or a fallback when the Hub can't be reached."""

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catdog.errors import HubError, ModelError, SettingsError
from catdog.files import write_atomically
from catdog.hub.candidate import MAX_FILE_BYTES, check_candidate
from catdog.hub.client import HubClient
from catdog.model.metadata import METADATA_FILE, ONNX_FILE, Metadata, load_metadata
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL, PROJECT_ROOT, Settings

Origin = Literal["folder", "hub", "cache", "embedded"]

logger = logging.getLogger(__name__)

REVOKED_FILE = "revoked.json"
"""In a model's repository: the commits that were rolled back."""

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REQUIRED_FILES = (ONNX_FILE, METADATA_FILE)
_MAX_EXTRA_FILES, _MAX_EXTRA_BYTES = 20, 5_000_000
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready, and where it came from."""

    model: Model
    origin: Origin
    """`cache` is the last good commit of the repository, `embedded` the model in this source tree."""
    problem: str | None = None
    """Why the configured repository could not be used; None if it could, or was not asked yet."""


def load_model(settings: Settings, *, embedded: Path = EMBEDDED_MODEL, last_good_first: bool = False) -> LoadedModel:
    """Load the model that the settings name, or the nearest fallback.

    A folder must be valid. A Hub repository falls back to the last commit of it that was served from this data
    folder, then to the embedded model: a service must start while the Hub is down.

    Args:
        settings: Name the model.
        embedded: The folder of the embedded model.
        last_good_first: Whether to start with the last good commit without asking the Hub, if it is still here. A
            `ModelWatcher` then brings the newest one: a bad revision must not delay a restart.

    Raises:
        SettingsError: `CATDOG_MODEL` is neither a folder nor the name of a Hub repository.
        ModelError: the folder, or the embedded model that everything falls back to, is missing or damaged.
    """
    folder = find_folder(settings.model)
    if folder is not None:
        return LoadedModel(Model.load(folder), "folder")
    if not _REPO_ID.fullmatch(settings.model):
        raise SettingsError(
            f"The model {settings.model!r} is neither a folder nor a Hub repository (USER/NAME). "
            "Set CATDOG_MODEL, or --model, to one."
        )
    if last_good_first and (known := _load_last_good(settings)):
        return LoadedModel(known, "cache")
    try:
        return LoadedModel(load_commit(settings, find_commit(settings)), "hub")
    except (HubError, ModelError, SettingsError) as error:
        logger.warning("%s", error)
        return _fall_back(settings, embedded, str(error))


def find_commit(settings: Settings) -> str:
    """Ask the Hub for the commit that the model's revision names now; a full commit id is not looked up.

    Raises:
        HubError: the Hub cannot be reached, refuses, or knows no such repository or revision.
    """
    if _COMMIT.fullmatch(settings.model_revision):
        return settings.model_revision
    return _ask(settings, settings.model_revision)[0]


def load_commit(settings: Settings, commit: str, *, check: Callable[[Metadata], None] | None = None) -> Model:
    """Fetch one commit of the model's repository, try it, load it, and remember that it works.

    Args:
        settings: Name the repository.
        commit: Which commit.
        check: Called before anything runs; what it raises is raised, and the commit isn't remembered.

    Raises:
        HubError: it could not be fetched this time.
        ModelError: it is not a working model, and never will be.
    """
    try:
        model = _load(settings, commit, _cached(settings, commit) or _download(settings, commit), check)
    except ModelError:  # perhaps only the copy on this disk is damaged
        model = _load(settings, commit, _download(settings, commit, again=True), check)
    _remember(settings, commit)
    return model


def find_folder(name: str) -> Path | None:
    """The folder of that name here, else beside the code, so that the app starts from any working directory."""
    folders = (Path(name), PROJECT_ROOT / name)
    return next((path for path in folders if os.path.isdir(path)), None)  # noqa: PTH112 - fails for no name


def was_rolled_back(settings: Settings, commit: str, *, before: str) -> bool:
    """Whether `train rollback` took a commit back, as the repository's `revoked.json` at a later commit says.

    Args:
        settings: Name the repository.
        commit: The later commit.
        before: The commit that may have been taken back.

    Raises:
        HubError: it could not be read this time.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415

    client = HubClient.of(settings)
    try:
        with client.errors(_fetching(settings), passes=(RemoteEntryNotFoundError,)):
            path = client.api.hf_hub_download(settings.model, REVOKED_FILE, revision=commit)
        entries = json.loads(Path(path).read_bytes())
    except (RemoteEntryNotFoundError, ValueError):
        return False
    commits = [each.get("commit") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return before in commits


def _load(settings: Settings, commit: str, folder: Path, check: Callable[[Metadata], None] | None = None) -> Model:
    """Load a commit's folder; one that has not served from this data folder yet is tried in another process first."""
    if check:
        check(load_metadata(folder))
    if commit != _last_good(settings):
        check_candidate(folder)
    return Model.load(folder, model_id=settings.model, revision=commit)


def _cached(settings: Settings, commit: str) -> Path | None:
    """The folder of a commit that was downloaded completely; doesn't ask the Hub."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    with HubClient.of(settings).errors(f"read the model {settings.model}"):
        found = [try_to_load_from_cache(settings.model, name, revision=commit) for name in _REQUIRED_FILES]
    if not all(isinstance(path, str) for path in found):
        return None
    return Path(str(found[-1])).parent


def _download(settings: Settings, commit: str, *, again: bool = False) -> Path:
    """Fetch a commit's files one by one; the required ones come last, so that their presence means completeness.

    `snapshot_download` would do, but for a listing without a timeout on which a start could hang.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415

    _, sizes = _ask(settings, commit)
    if max(sizes.get(name, 0) for name in _REQUIRED_FILES) > MAX_FILE_BYTES:
        raise ModelError(f"The model {settings.model} at {commit} is larger than {MAX_FILE_BYTES // 1_000_000} MB.")
    extra = [name for name in sorted(sizes) if name == "README.md" or name.endswith(".png")][:_MAX_EXTRA_FILES]
    small = [name for name in extra if sizes[name] <= _MAX_EXTRA_BYTES]
    client = HubClient.of(settings)
    try:
        with client.errors(_fetching(settings), passes=(RemoteEntryNotFoundError,)):
            paths = [
                client.api.hf_hub_download(settings.model, name, revision=commit, force_download=again)
                for name in (*small, *_REQUIRED_FILES)
            ]
    except RemoteEntryNotFoundError:
        needed = " and ".join(_REQUIRED_FILES)
        raise HubError(f"Could not {_fetching(settings)}: it does not have {needed}.") from None
    return Path(paths[-1]).parent


def _ask(settings: Settings, revision: str) -> tuple[str, dict[str, int]]:
    """A revision's commit, and its files' sizes in bytes (0 where the Hub doesn't say)."""
    client = HubClient.of(settings)
    with client.errors(_fetching(settings)):
        info = client.api.model_info(settings.model, revision=revision, timeout=_TIMEOUT_S, files_metadata=True)
        return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or ()}


def _fetching(settings: Settings) -> str:
    return f"fetch the model {settings.model} at {settings.model_revision} from {settings.hf_endpoint}"


def _fall_back(settings: Settings, embedded: Path, problem: str) -> LoadedModel:
    """The last good commit, if its files are still in the Hub's cache, else the embedded model."""
    known = _load_last_good(settings)
    return LoadedModel(known, "cache", problem) if known else LoadedModel(Model.load(embedded), "embedded", problem)


def _load_last_good(settings: Settings) -> Model | None:
    """The last good commit, if its files are still in the Hub's cache and undamaged."""
    commit = _last_good(settings)
    try:
        folder = _cached(settings, commit) if commit else None
        return _load(settings, commit, folder) if commit and folder else None
    except (HubError, ModelError, SettingsError) as error:
        logger.warning("%s", error)
        return None


def _memory(settings: Settings) -> Path:
    return settings.data_dir / "last_good_model.json"


def _remember(settings: Settings, commit: str) -> None:
    """Note the commit that works; with a read-only data folder it is just not remembered."""
    record = {"model": settings.model, "revision": settings.model_revision, "commit": commit}
    path = _memory(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record).encode())
    except OSError as error:
        logger.warning("The model's commit could not be written to %s: %s", path, error.strerror)


def _last_good(settings: Settings) -> str | None:
    """The commit that was last served for this repository and revision from this data folder."""
    try:
        record = json.loads(_memory(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = {"model": settings.model, "revision": settings.model_revision}
    matches = isinstance(record, dict) and wanted.items() <= record.items()
    return str(record["commit"]) if matches and "commit" in record else None
