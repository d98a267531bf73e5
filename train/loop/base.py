"""The model that retraining starts from, and that the challenger has to beat: a folder, or a revision on the Hub."""

from dataclasses import dataclass
from pathlib import Path

from catdog.errors import SettingsError
from catdog.model.metadata import METADATA_FILE, SPLITS_FILE, WEIGHTS_FILE, Metadata, load_metadata, verify_file
from catdog.model.model import Model
from catdog.settings import Settings
from train.data.splits import Manifest, read_manifest
from train.loop.corrections import Earlier
from train.loop.repository import MAIN, ModelRepository
from train.loop.revoked import fingerprint, parse_metadata


@dataclass(frozen=True, slots=True)
class Base:
    """A model folder with everything that retraining needs of it."""

    folder: Path
    name: str
    """The repository, or the folder's name."""
    model: Model
    manifest: Manifest

    @property
    def metadata(self) -> Metadata:
        """Of the model."""
        return self.model.metadata

    @property
    def earlier(self) -> Earlier:
        """The feedback that it was made with."""
        return earlier_feedback(self.metadata)


def open_base(base: str, settings: Settings) -> Base:
    """Open a model folder, or `USER/NAME` or `USER/NAME@REVISION` on the Hub.

    Raises:
        SettingsError: there is no such folder, repository or revision.
        ModelError: it is damaged, or was not made by `python -m train`.
        HubError: the Hub cannot be reached, or refuses.
    """
    folder = Path(base)
    if folder.is_dir():
        return _open(folder, folder.resolve().name, None)
    name, _, revision = base.partition("@")
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise SettingsError(
            f"--base {base}: there is no such folder, and it is no Hub repository (USER/NAME@REVISION)."
        )
    repository = ModelRepository.open(name, settings)
    commit = repository.resolve(revision or MAIN)
    if commit is None:
        raise SettingsError(f"--base {base}: the Hub has no such repository or revision that this token may see.")
    return _open(repository.download(commit), name, commit)


def earlier_feedback(metadata: Metadata) -> Earlier:
    """The row ids that a model's metadata says it was trained with."""
    feedback = metadata.training.get("feedback", {})
    return Earlier(frozenset([*feedback.get("rows", ()), *feedback.get("neither", ())]))


def find_head(repository: ModelRepository, base: Base) -> str | None:
    """The commit that a challenger of `base` may follow; None if the repository is still to be made.

    Raises:
        SettingsError: the repository serves another model, with which nothing has been compared.
    """
    head = repository.head()
    live = parse_metadata(repository.read(METADATA_FILE, head)) if head else None
    if live is not None and fingerprint(live) != fingerprint(base.metadata):
        raise SettingsError(
            f"{repository.repo_id} serves another model than --base, and the gate would compare with the wrong one. "
            f"Use --base {repository.repo_id}."
        )
    return head


def _open(folder: Path, name: str, commit: str | None) -> Base:
    metadata = load_metadata(folder)
    for path in (WEIGHTS_FILE, SPLITS_FILE):
        verify_file(folder, metadata, path)
    model = Model.load(folder, model_id=name, revision=commit)
    return Base(folder, name, model, read_manifest(folder / SPLITS_FILE))
