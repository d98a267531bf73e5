"""What a commit changes: operations as the client lists them, applied in that order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from devhub.refusal import bad_request, no_entry
from devhub.storage.commit import Entry
from devhub.storage.files import Staged


@dataclass(frozen=True, slots=True)
class AddFile:
    """A small file that came inside the commit."""

    path: str
    staged: Staged


@dataclass(frozen=True, slots=True)
class AddLfs:
    """A file whose content was uploaded before, or stands in the repository already."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A folder with everything below; unless it must be a folder, also a file."""

    path: str
    folder: bool


Change = AddFile | AddLfs | Delete


def apply(files: Mapping[str, Entry], changes: Iterable[Change], sizes: Mapping[str, int]) -> dict[str, Entry]:
    """The files after the changes.

    Args:
        files: The files before, by path.
        changes: In order.
        sizes: In bytes, of each LFS object that the changes name, by SHA-256.

    Raises:
        RefusedError: something to delete is not there, or a path would be both a file and a folder.
    """
    result = dict(files)
    for change in changes:
        match change:
            case AddFile(path, staged):
                result[path] = Entry(staged.sha256, staged.size, staged.git_oid, lfs=False)
            case AddLfs(path, sha256):
                result[path] = Entry.of_lfs(sha256, sizes[sha256])
            case Delete(path, folder):
                _delete(result, path, folder=folder)
    _check_tree(result)
    return result


def _delete(files: dict[str, Entry], path: str, *, folder: bool) -> None:
    below = [name for name in files if name.startswith(f"{path}/")]
    doomed = [path] if path in files and not folder else below
    if not doomed:
        raise no_entry(path)
    for name in doomed:
        del files[name]


def _check_tree(files: Mapping[str, Entry]) -> None:
    folders = {path[:end] for path in files for end, character in enumerate(path) if character == "/"}
    if clashes := folders & files.keys():
        raise bad_request(f"{min(clashes)} would be both a file and a folder.")
