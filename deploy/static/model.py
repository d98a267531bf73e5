"""The model that the static page runs: the smallest network of a model folder, with what describes it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from catdog.errors import ModelError, SettingsError
from catdog.hub.client import HubClient
from catdog.model.metadata import METADATA_FILE, Metadata, load_metadata, verify_file
from catdog.model.model import Model
from catdog.settings import PROJECT_ROOT, Settings

MAX_BYTES = 6_000_000
"""A larger network is built in too, with a warning: phones fetch it over their own connection."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StaticModel:
    """A model folder, and the network of it that goes into the page."""

    folder: Path
    metadata: Metadata
    network: str
    """Path of the ONNX file within the folder."""
    model_id: str
    revision: str


def find_static_model(settings: Settings) -> StaticModel:
    """The model that the settings name, checked: a folder, or a Hub repository.

    Raises:
        SettingsError: it is neither.
        ModelError: it is incomplete or damaged.
        HubError: the Hub cannot be reached, or refuses.
    """
    for folder in (Path(settings.model), PROJECT_ROOT / settings.model):
        if folder.is_dir():
            return load_static_model(folder)
    folder = _download(settings)
    return load_static_model(folder, model_id=settings.model, revision=folder.name)


def load_static_model(folder: Path, *, model_id: str | None = None, revision: str | None = None) -> StaticModel:
    """Check a model folder and choose the smallest network that its metadata lists.

    Raises:
        ModelError: it is incomplete or damaged.
    """
    model = Model.load(folder, model_id=model_id, revision=revision)
    metadata = load_metadata(folder)
    networks = [file.path for file in metadata.files if file.path.endswith(".onnx")]
    sizes = {path: _size(folder / path) for path in networks}
    network = min(networks, key=lambda path: sizes[path])
    verify_file(folder, metadata, network)
    if sizes[network] > MAX_BYTES:
        _log.warning("%s has %.1f MB; phones would be glad of less.", network, sizes[network] / 1e6)
    return StaticModel(folder, metadata, network, model.model_id, model.revision)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}). Fetch the model again.") from None


def _download(settings: Settings) -> Path:
    """The folder of the model's files in the Hub's cache; its name is the commit."""
    client = HubClient.of(settings)
    if settings.model.count("/") != 1 or settings.model.startswith((".", "/")):
        raise SettingsError(
            f"The model {settings.model!r} is neither a folder nor a Hub repository (USER/NAME). "
            "Set CATDOG_MODEL to one."
        )
    with client.errors(f"fetch the model {settings.model}"):
        return Path(
            client.api.snapshot_download(
                settings.model,
                revision=settings.model_revision,
                allow_patterns=[METADATA_FILE, "onnx/*.onnx"],
            )
        )
