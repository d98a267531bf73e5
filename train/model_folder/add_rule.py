"""`python -m train neither`: a model folder becomes one that knows when a picture shows none of its labels."""

import shutil
from pathlib import Path
from typing import Any

from catdog.errors import SettingsError
from catdog.model.metadata import NEITHER, ONNX_FILE, SPLITS_FILE, WEIGHTS_FILE, load_metadata
from catdog.model.model import Model
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import read_manifest, restore
from train.model_folder.write import score_and_finish
from train.network.create import create_network
from train.network.export import clear_disk_errors, export_served
from train.ood.rejection import RuleOptions, make_rule


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
