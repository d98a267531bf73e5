"""Labelled pictures to send to a service: a folder with a sub-folder per label, or Parquet, here or on the Hub."""

import json
import logging
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catdog.batch.collection import parquet_errors
from catdog.batch.folder import LeftOut, labelled_files, path_text, pictures_below
from catdog.errors import DataError, SettingsError
from catdog.hub.client import HubClient

log = logging.getLogger(__name__)

_LABEL_COLUMNS = ("label", "labels")
_IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture and what it shows."""

    name: str
    """Its path, or its Parquet file and row."""
    label: str
    data: bytes
    """Encoded."""


@dataclass(frozen=True, slots=True)
class _Reference:
    file: Path
    name: str
    label: str = ""
    row: int | None = None
    """Within a Parquet file."""


def read_labelled(data: str, *, limit: int | None, seed: int, endpoint: str, token: str | None) -> Iterator[Labelled]:
    """Labelled pictures of a folder or a Hub data set, read one after another. What cannot be read is left out.

    Args:
        data: A folder, or USER/NAME on the Hub.
        limit: At most so many, chosen at random; None is all.
        seed: Of that choice.
        endpoint: The Hub.
        token: For the Hub.

    Raises:
        SettingsError: there is no such folder, nor is it the name of a data set.
        DataError: nothing that can be used is in there.
        HubError: the Hub cannot be reached or refuses.
    """
    is_here = os.path.isdir(data)  # noqa: PTH112 - fails for no name, however long
    folder = Path(data) if is_here else _fetch(data, endpoint, token)
    parquet = sorted(folder.rglob("*.parquet"))
    if parquet and is_here:
        _name_pictures_beside(folder)
    found = _rows(folder, parquet) if parquet else _files(folder)
    if not found:
        raise DataError(f"{data} holds neither Parquet nor sub-folders with pictures, one per label.")
    if limit is not None and limit < len(found):
        chosen = random.Random(seed).sample(range(len(found)), limit)  # noqa: S311 - a sample, no secret
        found = [found[index] for index in sorted(chosen)]
    return _read_rows(found) if parquet else _read_files(found)


def _fetch(data: str, endpoint: str, token: str | None) -> Path:
    """A local copy of a data set's Parquet files."""
    if data.count("/") != 1 or data.startswith(("/", ".")):
        raise SettingsError(f"--data {data}: this is neither a folder nor a data set on the Hub (USER/NAME).")
    client = HubClient(endpoint, token)
    with client.errors(f"fetch the data set {data}"):
        return Path(client.api.snapshot_download(data, repo_type="dataset", allow_patterns="**/*.parquet"))


def _files(folder: Path) -> list[_Reference]:
    left_out = LeftOut()
    found = labelled_files(folder, left_out, split="test")
    for each in found:
        if each.label is None:
            left_out.add(each.path, "in no sub-folder, so without a label")
    if left_out:
        log.warning("%s", left_out.sentence())
    return [
        _Reference(each.path, path_text(each.path.relative_to(folder).as_posix()), each.label)
        for each in found
        if each.label is not None
    ]


def _name_pictures_beside(folder: Path) -> None:
    """Where a folder holds Parquet, that is what is read; pictures beside it are counted."""
    left_out = LeftOut()
    for path in pictures_below(folder, LeftOut()):
        left_out.add(path, "a picture beside Parquet, which is read instead")
    if left_out:
        log.warning("%s", left_out.sentence())


def _read_files(found: Sequence[_Reference]) -> Iterator[Labelled]:
    for each in found:
        try:
            yield Labelled(each.name, each.label, each.file.read_bytes())
        except OSError as error:
            log.warning("%s is left out: %s", each.file, error.strerror)


def _rows(folder: Path, files: Sequence[Path]) -> list[_Reference]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - large, and folders of pictures do without

    found = []
    for path in files:
        with parquet_errors(path_text(path)), path.open("rb") as file:  # Arrow opens no path that isn't UTF-8
            count = pq.read_metadata(file).num_rows
        name = path_text(path.relative_to(folder).as_posix())
        found += [_Reference(path, f"{name}#{row}", row=row) for row in range(count)]
    return found


def _read_rows(found: Sequence[_Reference]) -> Iterator[Labelled]:
    """Rows in the order of their files, a row group at a time in memory."""
    left_out = 0
    for path in dict.fromkeys(each.file for each in found):
        wanted = {each.row: each.name for each in found if each.file == path}
        for labelled in _read_parquet(path, wanted):
            if labelled is None:
                left_out += 1
            else:
                yield labelled
    if left_out == len(found):
        raise DataError("In the data no row has both a picture and a label. Use a data set that holds both.")
    if left_out:
        log.warning("%d of %d rows have no picture or no label and are left out.", left_out, len(found))


def _read_parquet(path: Path, wanted: dict[int | None, str]) -> Iterator[Labelled | None]:
    """The rows that are wanted, None for one without picture or label."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with parquet_errors(path_text(path)), path.open("rb") as opened, pq.ParquetFile(opened) as file:
        schema = file.schema_arrow
        column = next((name for name in _LABEL_COLUMNS if name in schema.names), None)
        if column is None or _IMAGE not in schema.names:
            raise DataError(f"{path.name} needs the columns `image` and `label`; it has {', '.join(schema.names)}.")
        names = _label_names(schema.metadata, column)
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            rows = [row for row in range(first, first + count) if row in wanted]
            if rows:
                table = file.read_row_group(group, columns=[_IMAGE, column])
                for row in rows:
                    yield _labelled(wanted[row], table.slice(row - first, 1).to_pylist()[0], column, names)
            first += count


def _labelled(name: str, record: dict[str, Any], column: str, names: Sequence[str]) -> Labelled | None:
    label, image = record[column], record[_IMAGE]
    if label is None or not isinstance(image, dict) or not image.get("bytes"):
        return None
    if names and label not in range(len(names)):  # -1 is how `datasets` writes that there is none
        return None
    return Labelled(name, names[label] if names else str(label), image["bytes"])


def _label_names(metadata: dict[bytes, bytes] | None, column: str) -> Sequence[str]:
    """The names behind numbers, as the data set's features tell; none where labels are strings."""
    told = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    names: Sequence[str] = told.get("info", {}).get("features", {}).get(column, {}).get("names", ())
    return names
