"""Repositories, files and folders as the API's JSON describes them."""

from pathlib import PurePosixPath
from typing import Any

from devhub.storage.commit import Entry
from devhub.storage.repository import Repository


def describe_repository(repository: Repository, revision: str, *, blobs: bool = False) -> dict[str, Any]:
    """A repository at a revision; with sizes and hashes of its files if `blobs`."""
    sha = repository.resolve(revision)
    commit = repository.commit(sha)
    settings = repository.settings
    return {
        "_id": repository.name.repo_id,
        "id": repository.name.repo_id,
        "author": repository.name.namespace,
        "sha": sha,
        "lastModified": commit.date,
        "createdAt": settings["created_at"],
        "private": settings["private"],
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [_sibling(path, entry, blobs=blobs) for path, entry in sorted(commit.files.items())],
        **({"sdk": settings["sdk"]} if repository.name.kind == "spaces" else {}),
    }


def describe_storage(repository: Repository) -> dict[str, Any]:
    """A repository with the bytes of all contents that its commits name."""
    return {
        "id": repository.name.repo_id,
        "type": repository.name.kind.removesuffix("s"),
        "updatedAt": repository.commit(repository.resolve("main")).date,
        "visibility": "private" if repository.settings["private"] else "public",
        "storage": repository.stored_bytes(),
    }


def describe_entry(path: str, entry: Entry) -> dict[str, Any]:
    """A file in a listing."""
    lfs = {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}} if entry.lfs else {}
    return {"type": "file", "oid": entry.oid, "size": entry.size, "path": path, **lfs}


def describe_folder(path: str) -> dict[str, Any]:
    """A folder in a listing."""
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}


def find_last_commits(repository: Repository, sha: str) -> dict[str, dict[str, str]]:
    """The commit that last changed each file and each folder's contents, by path."""
    files = repository.commit(sha).files
    found: dict[str, dict[str, str]] = {}
    for current, commit in repository.history(sha):
        if len(found) == len(files):
            break
        before = repository.commit(commit.parent).files if commit.parent else {}
        for path, entry in files.items():
            if path not in found and before.get(path) != entry:
                found[path] = {"id": current, "title": commit.title, "date": commit.date}
    for path, change in list(found.items()):  # newest first
        for folder in PurePosixPath(path).parents:
            found.setdefault(str(folder), change)
    return found


def _sibling(path: str, entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    lfs = {"lfs": {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}} if entry.lfs else {}
    return {"rfilename": path, "size": entry.size, "blobId": entry.oid, **lfs}
