"""Routes that list and deliver files."""

from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from devhub.refusal import bad_request, no_entry
from devhub.routes.access import REPO_API, FilePath, Readable, Revision, read_body
from devhub.routes.description import describe_entry, describe_folder, find_last_commits

router = APIRouter()

_FILE = "{namespace}/{name}/resolve/{revision}/{path:path}"


@router.get(REPO_API + "/tree/{revision}")
def list_tree(
    repository: Readable, revision: Revision, recursive: bool = False, expand: bool = False
) -> list[dict[str, Any]]:
    """Files and folders at a revision."""
    return _list(repository, revision, "", recursive=recursive, expand=expand)


@router.get(REPO_API + "/tree/{revision}/{path:path}")
def list_folder(
    repository: Readable, revision: Revision, path: FilePath, recursive: bool = False, expand: bool = False
) -> list[dict[str, Any]]:
    """Files and folders below a folder."""
    return _list(repository, revision, path, recursive=recursive, expand=expand)


async def asked_paths(request: Request) -> dict[str, list[str]]:
    """The form with `paths`, and perhaps with `expand`."""
    body = await read_body(request)
    try:
        form = parse_qs(body.decode(), strict_parsing=True, max_num_fields=100_000)
    except ValueError:
        raise bad_request("The body must be a form with `paths`.") from None
    return form


@router.post(REPO_API + "/paths-info/{revision}")
def describe_paths(
    repository: Readable, revision: Revision, form: Annotated[dict[str, list[str]], Depends(asked_paths)]
) -> list[dict[str, Any]]:
    """What stands at some paths; those that do not exist are left out."""
    sha = repository.resolve(revision)
    files = repository.commit(sha).files
    folders = _folders(files)
    wanted = [path.strip("/") for path in form.get("paths", [])]
    found = [
        describe_entry(path, files[path]) if path in files else describe_folder(path)
        for path in wanted
        if path in files or path in folders
    ]
    return _expanded(found, repository, sha) if form.get("expand", ["false"])[0].lower() == "true" else found


@router.api_route("/" + _FILE, methods=["GET", "HEAD"])
@router.api_route("/{kind}/" + _FILE, methods=["GET", "HEAD"])
def deliver(repository: Readable, revision: Revision, path: FilePath) -> Response:
    """A file's bytes, or a range of them."""
    sha = repository.resolve(revision)
    entry = repository.entry(sha, path)
    blob = repository.blob(entry)
    if not blob.is_file():  # a squash has just removed it
        raise no_entry(path)
    headers = {
        "X-Repo-Commit": sha,
        "ETag": f'"{entry.etag}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if entry.lfs:
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    return FileResponse(blob, headers=headers, media_type="application/octet-stream")


def _list(repository: Readable, revision: str, folder: str, *, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    sha = repository.resolve(revision)
    commit = repository.commit(sha)
    prefix = f"{folder}/" if folder else ""
    inside = [path for path in commit.files if path.startswith(prefix)]
    if folder and not inside:
        raise no_entry(folder)
    listed = [describe_entry(path, commit.files[path]) for path in inside]
    listed += [describe_folder(path) for path in _folders(inside) if path.startswith(prefix)]
    if not recursive:
        listed = [item for item in listed if "/" not in item["path"].removeprefix(prefix)]
    if expand:
        listed = _expanded(listed, repository, sha)
    return sorted(listed, key=lambda item: item["path"])


def _expanded(listed: list[dict[str, Any]], repository: Readable, sha: str) -> list[dict[str, Any]]:
    """With the commit that last changed each file, or anything in each folder."""
    last = find_last_commits(repository, sha)
    return [{**item, **({"lastCommit": last[item["path"]]} if item["path"] in last else {})} for item in listed]


def _folders(paths: Iterable[str]) -> set[str]:
    return {path[:end] for path in paths for end, character in enumerate(path) if character == "/"}
