"""Which model to serve: a folder, a Hub repository, or what is left when the Hub cannot be reached."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catdog.errors import HubError, ModelError, SettingsError
from catdog.metadata import METADATA_FILE, ONNX_FILE
from catdog.model import Model
from catdog.settings import EMBEDDED_MODEL, PROJECT_ROOT, Settings

Origin = Literal["folder", "hub", "cache", "embedded"]

logger = logging.getLogger(__name__)

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SERVED_FILES = [METADATA_FILE, ONNX_FILE, "README.md", "*.png"]
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready, and where it came from."""

    model: Model
    origin: Origin
    """`cache` and `embedded` mean that the Hub repository which was asked for could not be used."""
    problem: str | None = None
    """Why not, in that case."""


def load_model(settings: Settings, *, embedded: Path = EMBEDDED_MODEL) -> LoadedModel:
    """Load the model that the settings ask for, or the nearest thing to it.

    A folder must be right. A Hub repository falls back to the last commit of it that was served from this data
    folder, then to the embedded model: a service must start while the Hub is down.

    Raises:
        SettingsError: `CATDOG_MODEL` is neither a folder nor the name of a Hub repository.
        ModelError: the folder, or the embedded model that everything falls back to, is missing or damaged.
    """
    folder = _find_folder(settings.model)
    if folder is not None:
        return LoadedModel(Model.load(folder), "folder")
    if not _REPO_ID.fullmatch(settings.model):
        raise SettingsError(
            f"CATDOG_MODEL is {settings.model!r}: there is no such folder, and it is no Hub repository (USER/NAME)."
        )
    try:
        return LoadedModel(_load_from_hub(settings), "hub")
    except (HubError, ModelError) as error:
        logger.warning("%s", error)
        return _fall_back(settings, embedded, str(error))


def _find_folder(name: str) -> Path | None:
    """The folder of that name here, else beside the code, so that the app starts from any working directory."""
    return next((path for path in (Path(name), PROJECT_ROOT / name) if path.is_dir()), None)


def _load_from_hub(settings: Settings) -> Model:
    """Resolve the revision to a commit, load that commit, and remember it."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - a second of imports that serving a folder does without

    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    api = HfApi(endpoint=settings.hf_endpoint, token=token)
    with _translated(settings):
        commit = settings.model_revision
        if not _COMMIT.fullmatch(commit):
            commit = api.model_info(settings.model, revision=commit, timeout=_TIMEOUT_S).sha or commit
        folder = api.snapshot_download(settings.model, revision=commit, allow_patterns=_SERVED_FILES)
    model = Model.load(Path(folder), model_id=settings.model, revision=commit)
    _remember(settings, commit)
    return model


def _fall_back(settings: Settings, embedded: Path, problem: str) -> LoadedModel:
    """The last good commit, if its files are still in the Hub's cache, else the embedded model."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    commit = _last_good(settings)
    if commit is not None:
        try:
            with _translated(settings):
                folder = snapshot_download(settings.model, revision=commit, local_files_only=True)
            return LoadedModel(Model.load(Path(folder), model_id=settings.model, revision=commit), "cache", problem)
        except (HubError, ModelError) as error:
            logger.warning("%s", error)
    return LoadedModel(Model.load(embedded), "embedded", problem)


@contextmanager
def _translated(settings: Settings) -> Iterator[None]:
    """Turn what `huggingface_hub` raises into a `HubError`."""
    import httpx2  # noqa: PLC0415 - the Hub client's HTTP library; its connection errors are no OSError
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        yield
    except (httpx2.HTTPError, OSError, HFValidationError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HubError(
            f"The model {settings.model} at {settings.model_revision} could not be fetched from "
            f"{settings.hf_endpoint}: {reason}"
        ) from error


def _memory(settings: Settings) -> Path:
    return settings.data_dir / "last_good_model.json"


def _remember(settings: Settings, commit: str) -> None:
    """Note the commit that works; a data folder that cannot be written costs only the memory."""
    record = {"model": settings.model, "revision": settings.model_revision, "commit": commit}
    path = _memory(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps(record), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        logger.warning("The model's commit could not be noted in %s: %s", path, error.strerror)


def _last_good(settings: Settings) -> str | None:
    """The commit that was last served for this repository and revision from this data folder."""
    try:
        record = json.loads(_memory(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = {"model": settings.model, "revision": settings.model_revision}
    matches = isinstance(record, dict) and wanted.items() <= record.items()
    return str(record["commit"]) if matches and "commit" in record else None
