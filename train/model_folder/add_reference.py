"""`python -m train drift`: a finished model folder gets a drift reference, or another one."""

from pathlib import Path

import numpy as np

from catdog.model.metadata import SPLITS_FILE, DriftReference
from catdog.model.model import Model
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import read_manifest, restore
from train.model_folder.amend import amend_model_folder
from train.model_folder.drift import make_reference, reference_of


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
        reference = make_reference(model, source, rows[half:].tolist(), others=rows[:half].tolist())
    else:
        manifest, made_with = read_manifest(folder / SPLITS_FILE), model.metadata.training.get("data")
        reference = reference_of(model, restore(read_examples(source), manifest, made_with))
    amend_model_folder(folder, {}, drift_reference=reference)
    return reference
