"""Adding measurements and plots to a finished model folder; its card and hashes are made anew."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catdog.model.metadata import DriftReference, load_metadata, verify_file
from train.model_folder.write import finish_model_folder
from train.network.export import clear_disk_errors


def amend_model_folder(
    folder: Path,
    metrics: Mapping[str, dict[str, Any]],
    *,
    plots: Sequence[Path] = (),
    drift_reference: DriftReference | None = None,
) -> None:
    """Put `metrics` into the metadata, beside or in place of those of the same name, and copy `plots` into the folder.

    A `drift_reference` takes the place of the one that is there. All is done in a copy, which then takes the folder's
    place.

    Raises:
        ModelError: the folder is damaged.
        SettingsError, DataError: it cannot be written.
    """
    metadata = load_metadata(folder)
    for file in metadata.files:
        verify_file(folder, metadata, file.path)
    with clear_disk_errors(folder), tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=".amend-") as aside:
        copy = shutil.copytree(folder, Path(aside) / "new")
        for plot in plots:
            shutil.copyfile(plot, copy / plot.name)
        changes = {
            "metrics": {**metadata.metrics, **metrics},
            "drift_reference": drift_reference or metadata.drift_reference,
        }
        finish_model_folder(copy, metadata.model_copy(update=changes))
        _swap(folder, copy)


def _swap(folder: Path, copy: Path) -> None:
    """The copy takes the folder's name, and the folder the copy's."""
    old = copy.with_name("old")
    folder.rename(old)
    try:
        copy.rename(folder)
    except OSError:
        old.rename(folder)
        raise
