"""Labelled pictures from a Hub data set or a folder, still encoded."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetsError

from catdog.batch.folder import LabelledFile, LeftOut, files_below, labelled_files, path_text, require_labels
from catdog.cli import counted
from catdog.errors import DataError, HubError, SettingsError
from catdog.hub.client import HubClient
from catdog.settings import load_settings

_LABEL_COLUMNS = ("label", "labels")
_KIND_COLUMNS = ("name", *_LABEL_COLUMNS)
ORIGIN_FILE = "origin.json"
"""In a folder that is a copy of a data set: `name`, and `revision` or null."""
_BATCH = 256
_FILE_COLUMN = "file"
"""Of a folder of pictures: the path of each, as bytes."""
_OTHER_KIND = "other"
_PATTERN = re.compile(r"[\[\]*?{}]|::")
"""What `datasets` takes for a pattern, or for a file within another, in a folder's own path."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One example as it is stored."""

    index: int
    """Its position in the data set."""
    data: bytes | None
    """The encoded picture; None if there is none."""
    label: int | None
    """Index into the source's labels; None if there is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set with one picture and one label a row."""

    name: str
    """The Hub id or the folder, as it was asked for."""
    title: str
    """What a record calls it: the Hub id, or a folder's name without where it lies."""
    revision: str | None
    """The Hub commit, None for a folder that did not come from the Hub."""
    labels: tuple[str, ...]
    _positions: dict[int | str, int]
    _rows: datasets.Dataset
    _image_column: str
    _label_column: str
    given: tuple[str, ...] = ()
    """The split of each row (`train`, `validation`, `test`), where folders say so; else empty."""

    def __len__(self) -> int:
        return len(self._rows)

    def row_name(self, index: int) -> str:
        """What a person can find a row by: its file, or its number."""
        if self._image_column != _FILE_COLUMN:
            return f"row {index}"
        return path_text(os.fsdecode(self._rows[index][_FILE_COLUMN]))

    def batches(self, indices: Sequence[int] | None = None) -> Iterator[list[Row]]:
        """All rows, or those at `indices`, some at a time and in that order."""
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), _BATCH):
            chosen = wanted[start : start + _BATCH]
            columns = self._rows[chosen]
            yield [
                Row(index, _encoded(image), self._positions.get(label))
                for index, image, label in zip(
                    chosen, columns[self._image_column], columns[self._label_column], strict=True
                )
            ]

    def subset(self, rows: Sequence[int]) -> "Source":
        """The same data set with only some rows, numbered anew."""
        return replace(self, _rows=self._rows.select(rows), given=tuple(self.given[row] for row in rows if self.given))

    def with_labels(self, labels: tuple[str, ...]) -> "Source":
        """The same data set with its labels numbered as in `labels`.

        Raises:
            DataError: it has a label that is not among them.
        """
        unknown = [label for label in self.labels if label not in labels]
        if unknown:
            raise DataError(
                f"{self.name} has labels that the model does not know: {', '.join(unknown)}. "
                f"It knows {', '.join(labels)}."
            )
        positions = {value: labels.index(self.labels[old]) for value, old in self._positions.items()}
        return replace(self, labels=labels, _positions=positions)


def open_source(data: str, *, revision: str | None = None) -> Source:
    """Open a Hub data set by its id, or a folder: Parquet as the Hub has it, or one sub-folder of pictures per label.

    Raises:
        SettingsError: there is neither such a folder nor a name that could be a Hub id.
        DataError: it has no column of pictures, no column of labels, or fewer than two labels.
        HubError: the Hub cannot be reached, or refuses.
    """
    if (pictures := _pictures_by_label(data)) is not None:
        return pictures
    rows, image, revision = _open(data, revision)
    label = next((name for name in _LABEL_COLUMNS if name in rows.features), None)
    if label is None:
        raise DataError(
            f"{data} has no column named `label` or `labels`, only {', '.join(rows.features)}. Rename the column that "
            "holds the labels, or use a folder with one sub-folder of pictures per label."
        )
    names = _label_names(rows, label)
    if len(names) < 2:  # noqa: PLR2004
        raise DataError(f"The column `{label}` has {len(names)} label(s); two are needed at least.")
    _log.info("%s: %s, labels %s", data, counted(len(rows), "row"), ", ".join(names.values()))
    return _source(data, revision, rows, image, label, names)


def open_outliers(data: str, *, revision: str | None = None) -> Source:
    """Open pictures of other things than the labels; the label of each row is its kind, such as `fox`.

    The kind is in the column `name`, `label` or `labels`, or is the sub-folder's name. Without any, all are one kind.

    Raises:
        SettingsError, HubError: see `open_source`.
        DataError: it has no column of pictures.
    """
    if (pictures := _pictures_by_kind(data)) is not None:
        return pictures
    rows, image, revision = _open(data, revision)
    column = next((name for name in _KIND_COLUMNS if name in rows.features), None)
    if column is None:
        column = "name"
        rows = rows.add_column(column, [_OTHER_KIND] * len(rows))
    names = _label_names(rows, column)
    _log.info("%s: %d rows of %d kinds", data, len(rows), len(names))
    return _source(data, revision, rows, image, column, names)


def source_of(name: str, pictures: Sequence[bytes], labels: Sequence[int], names: tuple[str, ...]) -> Source:
    """A data set in memory.

    Args:
        name: What to call it.
        pictures: Encoded, n of them.
        labels: Of each, as indices into `names`.
        names: All labels.
    """
    columns = {"image": [{"bytes": data, "path": None} for data in pictures], "label": list(labels)}
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("int64")})
    rows = datasets.Dataset.from_dict(columns, features=features)
    return Source(name, name, None, names, {index: index for index in range(len(names))}, rows, "image", "label")


def _open(data: str, revision: str | None) -> tuple[datasets.Dataset, str, str | None]:
    """The rows, their column of pictures, and the commit."""
    if Path(data).is_dir():
        rows = _load(data, revision)
        return rows, _image_column(rows.features, data), revision
    commit, unreachable = _resolve_commit(data, revision)
    with _offline() if unreachable else nullcontext():
        rows = _load(data, commit, unreachable=unreachable)
    return rows, _image_column(rows.features, data), commit


@contextmanager
def _offline() -> Iterator[None]:
    """Let `datasets` look only for cached copies: with an unreachable Hub it would retry for a minute."""
    online = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = online


def _source(  # noqa: PLR0913, PLR0917 - each is one thing
    data: str, revision: str | None, rows: datasets.Dataset, image: str, label: str, names: dict[int | str, str]
) -> Source:
    positions = {value: position for position, value in enumerate(names)}
    rows = rows.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
    title, revision = _origin(data, revision)
    return Source(data, title, revision, tuple(names.values()), positions, rows, image, label)


def _origin(data: str, revision: str | None) -> tuple[str, str | None]:
    """The title and the Hub commit; a copy of a data set notes whose."""
    folder = Path(data)
    if not folder.is_dir():
        return data, revision
    if not (folder / ORIGIN_FILE).is_file():
        return folder.resolve().name, None
    try:
        origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        return origin["name"], origin["revision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / ORIGIN_FILE} is damaged ({error}). Prepare the data again.") from None


def _resolve_commit(data: str, revision: str | None) -> tuple[str | None, HubError | None]:
    """The commit behind a branch or tag, or why the Hub does not say: there may still be a cached copy."""
    if data.startswith((".", "/")) or data.count("/") > 1:
        raise SettingsError(f"{data}: there is no such folder. Name a folder, or a Hub data set as USER/NAME.")
    client = HubClient.of(load_settings())
    try:
        with client.errors(f"read the data set {data}"):
            return client.api.dataset_info(data, revision=revision).sha, None
    except HubError as error:
        _log.warning("%s Looking for a cached copy.", error)
        return revision, error


def _pictures_by_label(data: str) -> Source | None:
    """A folder with a sub-folder of pictures per label; None if it is anything else."""
    left_out = LeftOut()
    found = _pictures(data, left_out, split=None)
    if not found:
        return None
    for each in found:
        if each.label is None:
            left_out.add(each.path, "in no sub-folder, so without a label")
    labels = require_labels(found, Path(data))
    source = _file_source(data, [each for each in found if each.label is not None], labels)
    _log.info("%s: %s, labels %s", path_text(data), counted(len(source), "picture"), ", ".join(labels))
    _report_folder(found, left_out)
    return source


def _pictures_by_kind(data: str) -> Source | None:
    """A folder of pictures, in sub-folders or not; None if it is anything else."""
    left_out = LeftOut()
    found = [replace(each, label=each.label or _OTHER_KIND) for each in _pictures(data, left_out)]
    if not found:
        return None
    kinds = sorted({each.label or "" for each in found})
    _log.info("%s: %s of %s", path_text(data), counted(len(found), "picture"), counted(len(kinds), "kind"))
    _report_folder(found, left_out)
    return _file_source(data, found, kinds)


def _pictures(data: str, left_out: LeftOut, *, split: str | None = "train") -> list[LabelledFile]:
    """The picture files of a folder that `datasets` isn't needed for; none where it holds tables."""
    folder = Path(data)
    if not folder.is_dir():
        return []
    found = labelled_files(folder, left_out, split=split)
    if not _holds_tables(folder):
        return found
    if found and not list(folder.glob("metadata.*")):
        _log.warning(
            "%s holds Parquet, which is read, and %s beside it, which are not.",
            path_text(folder),
            counted(len(found), "picture"),
        )
    return []


def _holds_tables(folder: Path) -> bool:
    if any((folder / f"metadata{suffix}").is_file() for suffix in (".csv", ".jsonl", ".parquet")):
        return True
    return any(path.suffix.lower() == ".parquet" for path in files_below(folder, LeftOut()))


def _file_source(data: str, files: list[LabelledFile], labels: Sequence[str]) -> Source:
    numbers = {label: number for number, label in enumerate(labels)}
    # Paths are bytes on Linux, and need not be UTF-8, which Arrow's texts are.
    columns = {
        _FILE_COLUMN: [os.fsencode(each.path) for each in files],
        "label": [numbers[each.label or ""] for each in files],
    }
    features = datasets.Features({_FILE_COLUMN: datasets.Value("binary"), "label": datasets.Value("int64")})
    rows = datasets.Dataset.from_dict(columns, features=features)
    title, revision = _origin(data, None)
    positions: dict[int | str, int] = {number: number for number in range(len(labels))}
    given = tuple(each.split for each in files) if any(each.split for each in files) else ()
    return Source(data, title, revision, tuple(labels), positions, rows, _FILE_COLUMN, "label", given)


def _report_folder(found: Sequence[LabelledFile], left_out: LeftOut) -> None:
    """Say which pictures lie deeper than their label's folder, and what isn't read."""
    deeper = sum(bool(each.within) for each in found)
    if deeper:
        _log.info("%s in deeper folders: the label is the first folder's name.", counted(deeper, "picture"))
    if left_out:
        _log.warning("%s", left_out.sentence())


def _plain_path(data: str) -> str:
    """The same folder by a path in which `datasets` sees no pattern: where need be, one of links to its files.

    The links stay where `datasets` keeps its copies, so that the next run finds both.
    """
    folder = Path(data)
    if not folder.is_dir() or not (_PATTERN.search(data) or path_text(folder.resolve()) != str(folder.resolve())):
        return data
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    links = Path(datasets.config.HF_DATASETS_CACHE) / "folders" / name
    shutil.rmtree(links, ignore_errors=True)
    for path in files_below(folder, LeftOut()):
        link = links / _PATTERN.sub("_", path_text(path.relative_to(folder)))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return str(links)


def _load(data: str, revision: str | None, *, unreachable: HubError | None = None) -> datasets.Dataset:
    unreadable = (DatasetsError, ValueError, pa.ArrowException)
    hub = HubClient.of(load_settings()).errors(f"fetch the data set {data}", passes=unreadable)
    try:
        with nullcontext() if Path(data).is_dir() else hub:
            splits = datasets.load_dataset(_plain_path(data), revision=revision)
    except HubError as error:
        raise unreachable or error from None
    except (*unreadable, OSError) as error:
        raise DataError(
            f"{data} cannot be read as a data set: {str(error).rstrip('. ')}. "
            "Expected is a Hub data set, a folder with Parquet files, "
            "or a folder with one sub-folder of pictures per label."
        ) from None
    split = "train" if "train" in splits else next(iter(splits))
    if len(splits) > 1:
        _log.info("%s has the splits %s; `%s` is used", data, ", ".join(splits), split)
    return splits[split]


def _image_column(features: datasets.Features, data: str) -> str:
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise DataError(f"{data} has no column of pictures, only {', '.join(features)}. Use a data set of images.")
    return "image" if "image" in images else images[0]


def _label_names(rows: datasets.Dataset, column: str) -> dict[int | str, str]:
    """From a cell's value to the label's name, in the order of the logits: strings and bare numbers are sorted."""
    feature = rows.features[column]
    if isinstance(feature, datasets.ClassLabel):
        names: dict[int | str, str] = dict(enumerate(feature.names))
    else:
        names = {value: str(value) for value in sorted(value for value in rows.unique(column) if value is not None)}
    return names


def _encoded(image: dict[str, Any] | bytes | None) -> bytes | None:
    """The bytes of an image cell, or of the file that it names; a file that is missing counts as none."""
    if isinstance(image, bytes):
        return _read(os.fsdecode(image))
    if image is None or image["bytes"] is not None or image["path"] is None:
        return None if image is None else image["bytes"]
    return _read(image["path"])


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None
