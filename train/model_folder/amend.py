"""Changes a finished model folder: measurements, plots, drift reference, rejection rule; renews card and hashes."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import (
    NEITHER,
    ONNX_FILE,
    SPLITS_FILE,
    WEIGHTS_FILE,
    DriftReference,
    load_metadata,
    verify_file,
)
from catdog.model.model import Model
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import read_manifest, restore
from train.evaluation.report import CARD_PLOTS
from train.failures import clear_disk_errors
from train.model_folder.drift import look_at, make_reference
from train.model_folder.write import finish_model_folder, score_and_finish
from train.network.create import create_network
from train.network.export import export_served
from train.ood.rejection import make_rule
from train.options import RuleOptions


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


def add_report(model: Path, folder: Path, report: Mapping[str, Any]) -> None:
    """Copy plots and slices of a report that `write_report` made into the model folder that it is about.

    Raises:
        ModelError, SettingsError, DataError: see `amend_model_folder`.
    """
    metrics = report["metrics"]
    about = {"data": metrics["data"], "n": metrics["n"], "slices": report["slices"], "plots": list(CARD_PLOTS)}
    if "clean" in metrics:
        about["clean"] = metrics["clean"]
    amend_model_folder(model, {"report": about}, plots=[folder / name for name in CARD_PLOTS])


def add_rule(model: Path, data: str, options: RuleOptions, *, out: Path, revision: str | None = None) -> dict[str, Any]:
    """Copy a model folder, with the rule for `neither` added or made anew.

    Args:
        model: The model folder; it stays as it is.
        data: What it was trained with: a Hub data set or a folder.
        options: How the rule is made.
        out: The folder to make. Until it is complete there is none.
        revision: Of `data`.

    Returns:
        Rates on kinds that the rule had not seen.

    Raises:
        SettingsError: an option is wrong, or `out` exists already.
        DataError: the data cannot be used, or the disk is full.
        ModelError, HubError: see `Model.load`, `open_source` and `create_network`.
    """
    if out.exists():
        raise SettingsError(f"{out} exists already. Choose another --out, or delete it.")
    metadata = Model.load(model).metadata
    examples = read_examples(open_source(data, revision=revision).with_labels(metadata.labels))
    divided = restore(examples, read_manifest(model / SPLITS_FILE), metadata.training.get("data"))
    work = out.with_name(f"{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    with clear_disk_errors(out):
        shutil.copytree(model, work)
        network = create_network(
            metadata.architecture, labels=len(metadata.labels), init=str(work / WEIGHTS_FILE)
        ).eval()
        # At full precision, with every output that is exported today.
        export_served(network, work / ONNX_FILE, side=metadata.preprocessing.input_size)
        rule = make_rule(network, divided, metadata.preprocessing, options)
        score_and_finish(work, metadata, divided, rule)
        work.rename(out)
    rates: dict[str, Any] = load_metadata(out).metrics[NEITHER]
    return rates


def add_reference(folder: Path, data: str, *, revision: str | None = None, everything: bool = False) -> DriftReference:
    """Put the drift reference into a finished model folder; its card and hashes are made anew.

    Args:
        folder: A model folder.
        data: What it was trained with: a Hub data set or a folder. Its validation pictures become the reference.
        revision: Of `data`.
        everything: Any other data, of which half becomes the reference: pictures that are known to be as they should.

    Raises:
        DataError: no picture is left.
        ModelError, HubError, SettingsError: see `Model.load` and `open_source`.
    """
    model = Model.load(folder)
    source = open_source(data, revision=revision).with_labels(model.labels)
    if everything:
        rows = np.random.default_rng(0).permutation(read_examples(source).rows)
        half = len(rows) // 2
        kept, others = rows[half:].tolist(), rows[:half].tolist()
    else:
        manifest, made_with = read_manifest(folder / SPLITS_FILE), model.metadata.training.get("data")
        divided = restore(read_examples(source), manifest, made_with)
        kept, others = divided.rows("validation"), divided.rows("train")
    reference = make_reference(model, source, look_at(model, source, kept), others=others)
    amend_model_folder(folder, {}, drift_reference=reference)
    return reference


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
        add_report(aside, report, found)
        aside.rename(out)


def _swap(folder: Path, copy: Path) -> None:
    """The copy takes the folder's name, and the folder the copy's."""
    old = copy.with_name("old")
    folder.rename(old)
    try:
        copy.rename(folder)
    except OSError:
        old.rename(folder)
        raise
