"""Folders of pictures: each file below one is found, or left out with a reason, counted and named.

One reading for everything that takes a folder: `predict`, training and `deploy evaluate`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from catdog.cli import counted, printable
from catdog.errors import DataError
from catdog.images.formats import is_picture, why_left_out

_NAMED = 10
_HIDDEN = "."
_HIDDEN_FOLDERS = ("__MACOSX", "@eaDir")
"""What macOS and Synology's systems put beside pictures; there are no photos in it."""
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


@dataclass(slots=True)
class LeftOut:
    """Files that are not read: how many for each reason, and the first names."""

    reasons: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)

    def add(self, path: str | Path, reason: str) -> None:
        """Count one file."""
        self.reasons[reason] += 1
        if len(self.names) < _NAMED:
            self.names.append(path_text(path))

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def sentence(self) -> str:
        """One line: `3 files are left out: .txt isn't read (2), a named pipe (1): a.txt, b.txt, c`."""
        total = self.reasons.total()
        listed = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common())
        names = ", ".join(map(printable, self.names)) + (", …" if total > len(self.names) else "")
        return f"{counted(total, 'file')} {'is' if total == 1 else 'are'} left out: {printable(listed)}: {names}"


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """One picture and the label that its folder gives it."""

    path: Path
    label: str | None
    """None for a picture beside the sub-folders."""
    within: str = ""
    """The folder below its label's in which it lies, where there is one."""
    split: str = ""
    """`train`, `validation` or `test` where the folders say so and all are read."""


def path_text(path: str | Path) -> str:
    r"""A path as text that every format can hold: bytes of it that are not UTF-8 are written as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def files_below(folder: str | Path, left_out: LeftOut) -> Iterator[Path]:
    """All files in a folder and below, sorted, those of a folder before those of its sub-folders.

    Links to folders are followed. Hidden files, folders that can't be listed and links that lead in a circle are
    counted in `left_out`. Whether a file is a picture, or a file at all, is for the caller to find out.
    """
    return _below(Path(folder), left_out, ())


def _below(folder: Path, left_out: LeftOut, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir(), key=os.fsencode)
    except OSError as error:
        left_out.add(folder, f"unreadable ({error.strerror})")
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        left_out.add(folder, "a link to a folder above it")
        return
    folders = {path for path in entries if path.is_dir()}
    for path in entries:
        if path in folders:
            continue
        if path.name.startswith(_HIDDEN):
            left_out.add(path, "hidden")
        else:
            yield path
    for path in (path for path in entries if path in folders):
        if is_hidden_folder(path):
            _count_hidden(path, left_out)
        else:
            yield from _below(path, left_out, (*above, here))


def is_hidden_folder(path: Path) -> bool:
    """Whether a folder is one that file managers don't show, or that they keep for themselves."""
    return path.name.startswith(_HIDDEN) or path.name in _HIDDEN_FOLDERS


def _count_hidden(folder: Path, left_out: LeftOut) -> None:
    for at, _, names in os.walk(folder):
        for name in sorted(names):
            left_out.add(Path(at, name), "in a hidden folder")


def pictures_below(folder: str | Path, left_out: LeftOut) -> Iterator[Path]:
    """The pictures in a folder and below, sorted; everything else is counted."""
    for path in files_below(folder, left_out):
        if is_picture(path):
            yield path
        else:
            left_out.add(path, why_left_out(path))


def labelled_files(folder: Path, left_out: LeftOut, *, split: str | None = "train") -> list[LabelledFile]:
    """The pictures of a folder that has a sub-folder per label, sorted by label and path.

    A label's pictures are those in its folder and anywhere below. Where every sub-folder is named like a split
    (`train`, `test`, ...) and holds folders in turn, the labels are the folders of one split.

    Args:
        folder: Where they are.
        left_out: Counts what isn't read.
        split: Which one to read, where there are splits: `train`, `validation` or `test`; else the first that is there.
            None reads all, and says which each picture is in.
    """
    found = _by_first_folder(folder, left_out)
    names = {each.label for each in found if each.label is not None}
    deep = all(each.within for each in found if each.label is not None)
    if not names or not deep or not all(_split_of(name) for name in names):
        return found
    if split is None:
        return [
            replace(each, split=_split_of(name))
            for name in sorted(names)
            for each in _by_first_folder(folder / name, LeftOut())
        ]
    chosen = min(names, key=lambda name: (_split_of(name) != split, list(_SPLITS).index(_split_of(name)), name))
    for each in found:
        if each.label not in {chosen, None}:
            left_out.add(each.path, f"in the split `{each.label}`, of which only `{chosen}` is read")
    return _by_first_folder(folder / chosen, LeftOut())


def _by_first_folder(folder: Path, left_out: LeftOut) -> list[LabelledFile]:
    found: list[LabelledFile] = []
    for path in sorted(folder.iterdir(), key=os.fsencode):
        if not path.is_dir():
            found += _beside_folders(path, left_out)
        elif is_hidden_folder(path):
            _count_hidden(path, left_out)
        else:
            label = path_text(path.name)
            pictures = [_labelled(picture, path, label) for picture in pictures_below(path, left_out)]
            if not pictures:
                left_out.add(path, "a folder without pictures")
            found += pictures
    return found


def _labelled(picture: Path, folder: Path, label: str) -> LabelledFile:
    below = picture.relative_to(folder).parts
    return LabelledFile(picture, label, within=path_text(below[0]) if len(below) > 1 else "")


def _beside_folders(path: Path, left_out: LeftOut) -> list[LabelledFile]:
    if path.name.startswith(_HIDDEN):
        left_out.add(path, "hidden")
    elif is_picture(path):
        return [LabelledFile(path, None)]
    else:
        left_out.add(path, why_left_out(path))
    return []


def _split_of(name: str) -> str:
    """Which split a folder's name stands for; empty if it is another name."""
    return next((split for split, words in _SPLITS.items() if name.lower() in words), "")


def require_labels(files: list[LabelledFile], folder: Path) -> list[str]:
    """The labels, sorted; at least two.

    Raises:
        DataError: there are fewer; it says which folder may be meant.
    """
    labels = sorted({each.label for each in files if each.label is not None})
    if len(labels) > 1:
        return labels
    if not labels:
        raise DataError(f"{path_text(folder)} holds no sub-folder with pictures. One per label is needed.")
    within = sorted({each.within for each in files if each.within})
    hint = f" Or is {path_text(folder / labels[0])} meant, with {', '.join(within[:5])}?" if within else ""
    raise DataError(
        f"{path_text(folder)} has one sub-folder with pictures, {labels[0]}, so there is one label; "
        f"two are needed at least.{hint}"
    )
