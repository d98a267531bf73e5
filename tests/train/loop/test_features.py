"""What the layers before the head make of pictures: the same as the network that is trained, and kept on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from catdog.errors import DataError
from catdog.images.decode import decode_image
from catdog.model.metadata import load_metadata
from catdog.model.preprocessing import preprocess
from train.data.source import Source, open_source
from train.loop.challenger import restore_network
from train.loop.features import Backbone, Layer, Maps
from train.network.backbone import BeforeHead

ROWS = [0, 3, 7]


@pytest.fixture(scope="module")
def source(folder: Path) -> Source:
    return open_source(str(folder))


def backbone_of(trained: Path, cache: Path | None = None) -> Backbone:
    metadata = load_metadata(trained)
    return Backbone.of(trained, restore_network(trained, metadata), metadata, cache=cache)


def asked(backbone: Backbone, source: Source, layer: Layer = Layer.LAST, views: int = 1) -> Maps:
    return backbone.maps(source, ROWS, [str(row) for row in ROWS], layer=layer, views=views, what="pictures")


def test_the_served_file_gives_the_last_map_of_the_network_that_is_trained(trained: Path, source: Source) -> None:
    metadata = load_metadata(trained)
    rows = [row for batch in source.batches(ROWS) for row in batch]
    pixels = np.stack([preprocess(decode_image(row.data or b""), metadata.preprocessing) for row in rows])
    with torch.inference_mode():
        wanted = BeforeHead(restore_network(trained, metadata))(torch.from_numpy(pixels)).numpy()
    found = asked(backbone_of(trained), source)
    assert found.shape == (3, 1, *wanted.shape[1:])
    assert np.allclose(found[:, 0], wanted, atol=0.02 * np.abs(wanted).max())


def test_the_first_view_is_the_picture_as_it_is_and_others_differ(trained: Path, source: Source) -> None:
    backbone = backbone_of(trained)
    views = asked(backbone, source, views=3)
    alone = asked(backbone, source)[:, 0]
    assert np.abs(views[:, 1] - alone).max() > 20 * np.abs(views[:, 0] - alone).max()


def test_a_look_is_one_vector_of_the_early_and_the_last_maps(trained: Path, source: Source) -> None:
    backbone = backbone_of(trained)
    looks, last = asked(backbone, source, Layer.LOOK), asked(backbone, source)
    width = last.shape[2]
    assert looks.shape[2] > width
    assert np.allclose(looks[:, 0, -width:], last[:, 0].reshape(3, width), atol=1e-2)


def test_what_was_computed_is_kept_and_made_again_where_it_is_damaged(
    trained: Path, source: Source, tmp_path: Path
) -> None:
    first = asked(backbone_of(trained, tmp_path), source)
    (kept,) = tmp_path.iterdir()
    useless = replace(backbone_of(trained, tmp_path), functions={})
    assert np.array_equal(asked(useless, source), first)
    kept.write_bytes(kept.read_bytes()[:-8])
    assert np.array_equal(asked(backbone_of(trained, tmp_path), source), first)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_that_became_unreadable_is_named(trained: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "amber").mkdir()
    (tmp_path / "amber" / "a.png").write_bytes((folder / "amber" / "1.png").read_bytes())
    (tmp_path / "jade").mkdir()
    (tmp_path / "jade" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    damaged = open_source(str(tmp_path))
    with pytest.raises(DataError, match="unreadable while it was used"):
        backbone_of(trained).maps(damaged, [0, 1], ["a", "b"], views=1, what="pictures")
