"""What `predict` is asked about: files, folders, Parquet here or on the Hub, in parts that are read by themselves.

The same arguments give the same parts, so that work can be shared among processes, and resumed.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catdog.batch.folder import LeftOut, files_below
from catdog.errors import DataError
from catdog.hub.files import HUB_SCHEME, HubFiles
from catdog.images.formats import is_picture, why_left_out

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PARQUET = ".parquet"
STDIN = "-"
"""The path that stands for standard input."""
_IMAGE_COLUMN = "image"
_ROWS_AT_ONCE = 64
_HUB_OWN = frozenset((".gitattributes", "README.md"))
"""Files that every data set on the Hub has."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a collection, not yet decoded."""

    path: str
    """Its file, or the Parquet file that it is in."""
    row: int | None = None
    """Its row there."""
    data: bytes | None = None
    """What the row holds; a file is read when its turn comes."""
    problem: str = ""
    """Why there is none to be read: stands for what a Parquet file holds that was only found."""

    @property
    def name(self) -> str:
        """What it is called where there is one name for all."""
        return self.path if self.row is None else f"{self.path}#{self.row}"


@dataclass(frozen=True, slots=True)
class Part:
    """Some pictures: files, or neighbouring rows of one Parquet file."""

    paths: tuple[str, ...] = ()
    table: str = ""
    groups: tuple[int, ...] = ()
    """Row groups of the table."""
    first_row: int = 0
    """The row of the table with which they begin."""
    found: bool = False
    """The table is not named but found in a folder or data set: if it cannot be read, that is reported, not fatal."""


class Collection:
    """Finds and reads pictures. It holds no connection or open file, so another process can do its reading."""

    def __init__(self, hub: HubFiles) -> None:
        self._hub = hub
        self.left_out = LeftOut()
        """Files of folders and data sets that are not pictures."""

    def parts(self, arguments: Iterable[str], *, size: int) -> Iterator[Part]:
        """Everything that the arguments name, in their order, sorted within a folder.

        Args:
            arguments: Files, folders (pictures and Parquet in them and below), and `hf://datasets/USER/NAME`, with
                `@REVISION` if it is not the main one.
            size: So many pictures a part; a row group is never divided.

        Raises:
            DataError: a Parquet file that an argument names cannot be read, or holds no pictures.
            HubError: the Hub cannot be reached, or refuses.
        """
        files: list[str] = []
        for path, found in self._find(arguments):
            is_table = path.lower().endswith(PARQUET)
            if not is_table:
                files.append(path)
            if files and (is_table or len(files) == size):
                yield Part(paths=tuple(files))
                files = []
            if is_table:
                yield from self._table_parts(path, size, found=found)
        if files:
            yield Part(paths=tuple(files))

    def read(self, part: Part) -> Iterator[Picture]:
        """The pictures of one part, rows some at a time. A table that was only found may end with a `problem`.

        Raises:
            DataError, HubError: see `parts`.
        """
        yield from (Picture(path) for path in part.paths)
        if not part.table:
            return
        try:
            yield from self._rows(part)
        except DataError as error:
            if not part.found:
                raise
            yield Picture(part.table, problem=str(error))

    def _rows(self, part: Part) -> Iterator[Picture]:
        with self._open(part.table) as table:
            column = _image_column(table.schema_arrow, part.table)
            row = part.first_row
            # Threads of Arrow that call back into Python can outlive it, and crash its end.
            batches = table.iter_batches(
                _ROWS_AT_ONCE, row_groups=list(part.groups), columns=[column], use_threads=False
            )
            for batch in batches:
                for cell in batch.column(0):
                    yield Picture(part.table, row, _bytes_of(cell.as_py()))
                    row += 1

    def _find(self, arguments: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Files, each with whether it was found rather than named."""
        for argument in arguments:
            if argument.startswith(HUB_SCHEME):
                yield from ((path, True) for path in self._of_data_set(argument))
            elif os.path.isdir(argument):  # noqa: PTH112 - fails for no name, however long
                yield from ((path, True) for path in self._walk(argument))
            else:
                yield argument, False

    def _walk(self, folder: str) -> Iterator[str]:
        """Pictures and Parquet in a folder and below; the rest is counted."""
        for path in files_below(folder, self.left_out):
            if is_picture(path) or (path.suffix.lower() == PARQUET and path.is_file()):
                yield str(path)
            else:
                self.left_out.add(path, why_left_out(path))

    def _of_data_set(self, argument: str) -> Iterator[str]:
        """Parquet files of a Hub data set; the rest is counted."""
        for path in self._hub.list(argument):
            suffix = Path(path).suffix.lower()
            if suffix == PARQUET:
                yield path
            elif Path(path).name not in _HUB_OWN:
                self.left_out.add(path, f"{suffix or 'a file without a suffix'} isn't read from a data set")

    def _table_parts(self, path: str, size: int, *, found: bool) -> Iterator[Part]:
        try:
            counts = self._row_counts(path)
        except DataError:
            if not found:
                raise
            yield Part(table=path, found=True)  # `read` meets the same, and reports it
            return
        groups: list[int] = []
        first_row = row = 0
        for group, count in enumerate(counts):
            groups.append(group)
            row += count
            if row - first_row >= size or group == len(counts) - 1:
                yield Part(table=path, groups=tuple(groups), first_row=first_row, found=found)
                groups, first_row = [], row

    def _row_counts(self, path: str) -> list[int]:
        """Of each row group of a table of pictures."""
        with self._open(path) as table:
            _image_column(table.schema_arrow, path)
            return [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]

    @contextmanager
    def _open(self, path: str) -> Iterator["pq.ParquetFile"]:
        import pyarrow.parquet as pq  # noqa: PLC0415 - most folders hold no Parquet

        is_remote = path.startswith(HUB_SCHEME)
        with (
            parquet_errors(path),
            self._hub.errors(path) if is_remote else nullcontext(),
            self._hub.open(path) if is_remote else Path(path).open("rb") as file,
        ):
            yield pq.ParquetFile(file)


@contextmanager
def parquet_errors(path: str) -> Iterator[None]:
    """Turn what Arrow raises while it reads a file into a `DataError`."""
    import pyarrow as pa  # noqa: PLC0415 - large, and most folders hold no Parquet

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}. Leave it out, or mend it.") from None


def _image_column(schema: "pa.Schema", path: str) -> str:
    """The column of pictures: encoded bytes, or the structure that `datasets` writes."""
    names = [field.name for field in schema if _holds_pictures(field.type)]
    if not names:
        raise DataError(f"{path} has no column of pictures, only {', '.join(schema.names)}.")
    return _IMAGE_COLUMN if _IMAGE_COLUMN in names else names[0]


def _holds_pictures(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes_of(cell: dict[str, bytes | None] | bytes | None) -> bytes | None:
    return cell["bytes"] if isinstance(cell, dict) else cell
