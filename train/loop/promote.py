"""`python -m train promote`: a run's model folder becomes the embedded model."""

import shutil
from pathlib import Path

from catdog.errors import SettingsError
from catdog.files import sync_tree
from catdog.hub.replacement import require_no_surprise
from catdog.model.metadata import METADATA_FILE, Metadata, load_metadata
from train.failures import clear_disk_errors
from train.loop.publish import check_folder


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
        raise SettingsError(f"{target} exists and is no model folder. Choose another --to, or delete it.")
    replaced = load_metadata(target)
    if not allow_change:
        there = f"the model in {target}"
        require_no_surprise(replaced, metadata, what="This model", than=there, allow="add --allow-change")
    return replaced
