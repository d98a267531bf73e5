"""`python -m train card`: a trained model folder, with what its evaluation found put into its card."""

import json
import shutil
from pathlib import Path

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import load_metadata
from train.evaluation.report import put_into_card
from train.network.export import clear_disk_errors


def release(model: Path, report: Path, out: Path) -> None:
    """Copy a model folder, and add the plots and slices of a report to the copy and its card.

    Args:
        model: A model folder; it stays as it is.
        report: The folder that `python -m train evaluate --report` made for it.
        out: The folder to make.

    Raises:
        ModelError: the model folder is incomplete or damaged.
        DataError: there is no report, or the disk is full.
        SettingsError: `out` exists already, or cannot be written.
    """
    load_metadata(model)
    if out.exists():
        raise SettingsError(f"{out} exists already. Choose another --out, or delete it.")
    try:
        found = json.loads((report / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{report} holds no report that can be read ({error}). Make it with `evaluate --report`."
        ) from None
    aside = out.with_name(f"{out.name}.partial")
    with clear_disk_errors(out):
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(model, aside)
        put_into_card(aside, report, found)
        aside.rename(out)
