"""Which model to serve: a folder, a Hub repository, or what is left when the Hub cannot be reached."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catdog.errors import HubError, ModelError, SettingsError
from catdog.model.metadata import METADATA_FILE, ONNX_FILE
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL, PROJECT_ROOT, Settings

Origin = Literal["folder", "hub", "cache", "embedded"]

logger = logging.getLogger(__name__)

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REQUIRED_FILES = (ONNX_FILE, METADATA_FILE)
_TIMEOUT_S = 10.0
_UNAUTHORIZED = 401


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
        return LoadedModel(load_commit(settings, find_commit(settings)), "hub")
    except (HubError, ModelError) as error:
        logger.warning("%s", error)
        return _fall_back(settings, embedded, str(error))


def find_commit(settings: Settings) -> str:
    """The commit that the model's revision names now, as the Hub answers; a full commit id is not looked up.

    Raises:
        HubError: the Hub cannot be reached, refuses, or knows no such repository or revision.
    """
    if _COMMIT.fullmatch(settings.model_revision):
        return settings.model_revision
    return _ask(settings, settings.model_revision)[0]


def load_commit(settings: Settings, commit: str) -> Model:
    """Fetch one commit of the model's repository, check it, run it once, and remember that it works.

    Raises:
        HubError: it could not be fetched; another time it may be.
        ModelError: it is no model that works, and never will be.
    """
    try:
        model = _load(settings, commit, _cached(settings, commit) or _download(settings, commit))
    except ModelError:  # perhaps only the copy on this disk is damaged
        model = _load(settings, commit, _download(settings, commit, again=True))
    _remember(settings, commit)
    return model


def _find_folder(name: str) -> Path | None:
    """The folder of that name here, else beside the code, so that the app starts from any working directory."""
    folders = (Path(name), PROJECT_ROOT / name)
    return next((path for path in folders if os.path.isdir(path)), None)  # noqa: PTH112 - fails for no name


def _load(settings: Settings, commit: str, folder: Path) -> Model:
    return Model.load(folder, model_id=settings.model, revision=commit)


def _cached(settings: Settings, commit: str) -> Path | None:
    """The folder of a commit that has been downloaded completely; asks no hub."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    with _translated(settings):
        found = [try_to_load_from_cache(settings.model, name, revision=commit) for name in _REQUIRED_FILES]
    if not all(isinstance(path, str) for path in found):
        return None
    return Path(str(found[-1])).parent


def _download(settings: Settings, commit: str, *, again: bool = False) -> Path:
    """Fetch a commit's files one by one; what must be there comes last, so that its presence means completeness.

    `snapshot_download` would do, but for a listing without a timeout on which a start could hang.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    _, names = _ask(settings, commit)
    extra = [name for name in names if name == "README.md" or name.endswith(".png")]
    path = ""
    with _translated(settings):
        for name in (*extra, *_REQUIRED_FILES):
            path = hf_hub_download(
                settings.model,
                name,
                revision=commit,
                endpoint=settings.hf_endpoint,
                token=_token(settings),
                force_download=again,
            )
    return Path(path).parent


def _ask(settings: Settings, revision: str) -> tuple[str, list[str]]:
    """A revision's commit and the names of its files."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - a second of imports that serving a folder does without

    api = HfApi(endpoint=settings.hf_endpoint, token=_token(settings))
    with _translated(settings):
        info = api.model_info(settings.model, revision=revision, timeout=_TIMEOUT_S)
        return str(info.sha), [file.rfilename for file in info.siblings or ()]


def _fall_back(settings: Settings, embedded: Path, problem: str) -> LoadedModel:
    """The last good commit, if its files are still in the Hub's cache, else the embedded model."""
    commit = _last_good(settings)
    try:
        folder = _cached(settings, commit) if commit else None
        if commit and folder:
            return LoadedModel(_load(settings, commit, folder), "cache", problem)
    except (HubError, ModelError) as error:
        logger.warning("%s", error)
    return LoadedModel(Model.load(embedded), "embedded", problem)


def _token(settings: Settings) -> str | None:
    return settings.hf_token.get_secret_value() if settings.hf_token else None


@contextmanager
def _translated(settings: Settings) -> Iterator[None]:
    """Turn what `huggingface_hub` raises into a `HubError`."""
    import httpx2  # noqa: PLC0415 - the Hub client's HTTP library; its connection errors are no OSError
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        yield
    except (httpx2.HTTPError, HFValidationError, OSError) as error:
        raise _hub_error(settings, _reason(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # the client takes every answer for the Hub's
        raise _hub_error(settings, f"the answer is not the Hub's ({error}); check HF_ENDPOINT") from error


def _hub_error(settings: Settings, reason: str) -> HubError:
    return HubError(
        f"The model {settings.model} at {settings.model_revision} could not be fetched from "
        f"{settings.hf_endpoint}: {reason}"
    )


def _reason(error: Exception) -> str:
    """The cause in one sentence, with what to do where that is known."""
    from huggingface_hub import errors  # noqa: PLC0415

    match error:
        case errors.HFValidationError():
            return "no repository can have this name; check CATDOG_MODEL"
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or HF_TOKEN may not read it"
        case errors.EntryNotFoundError():
            return f"it is no model of this application; one has {' and '.join(_REQUIRED_FILES)}"
        case errors.RevisionNotFoundError():
            return "it has no such revision; check CATDOG_MODEL_REVISION"
        case errors.HfHubHTTPError(response=response) if response.status_code == _UNAUTHORIZED:
            return "the token in HF_TOKEN is not valid"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
