"""Routes that take files: how each is to come, LFS objects, and the commit that names them."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from devhub.refusal import RefusedError, bad_request
from devhub.routes.access import REPO_API, Body, Revision, TheHub, Writable, Writer
from devhub.storage.commit import Entry
from devhub.storage.commit_body import CommitBody
from devhub.storage.names import RepoName, check_path, check_sha256
from devhub.storage.repository import Message, Repository
from devhub.tokens import Signer

router = APIRouter()

_LFS_BATCH = "{namespace}/{name}.git/info/lfs/objects/batch"
_LFS_OBJECT = "/_lfs/{kind}/{namespace}/{name}/{oid}/{size}"


@router.post(REPO_API + "/preupload/{revision}")
def preupload(body: Body, request: Request, hub: TheHub, repository: Writable, revision: Revision) -> dict[str, Any]:
    """Tell how each file is to come, and its hash where it stands there already.

    Files up to `inline_bytes` come inside the commit. That is more generous than the Hub, on purpose: a client that
    has Xet sends everything else to Xet, which this server does not speak. The exception are the shards of
    `push_to_hub`: `datasets` removes their files before the commit is built, so they must come before it, by LFS.
    """
    files = repository.commit(repository.resolve(revision)).files
    pushes = request.headers.get("user-agent", "").startswith("datasets/")
    answer = []
    for item in _objects(body, "files"):
        path = check_path(item.get("path"), status=422)  # as the Hub answers here
        lfs = _size(item) > hub.inline_bytes or (pushes and path.endswith(".parquet"))
        mode, oid = "lfs" if lfs else "regular", _known_oid(files.get(path), lfs=lfs)
        answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": answer}


def _known_oid(entry: Entry | None, *, lfs: bool) -> str | None:
    """The hash by which the client recognises an unchanged file; None if that hash is not known."""
    if entry is None or (entry.lfs and not lfs):
        return None
    return entry.sha256 if lfs else entry.oid


@router.post("/" + _LFS_BATCH)
@router.post("/{kind}/" + _LFS_BATCH)
def lfs_batch(body: Body, request: Request, hub: TheHub, repository: Writable) -> dict[str, Any]:
    """Addresses to which LFS objects can be sent; an object that is here needs none."""
    if body.get("operation") != "upload":
        raise bad_request("Only uploads go through LFS here; files are read at /resolve/.")
    objects = [_lfs_object(item, request, hub.signer, repository) for item in _objects(body, "objects")]
    return {"transfer": "basic", "hash_algo": "sha256", "objects": objects}


def _lfs_object(item: dict[str, Any], request: Request, signer: Signer, repository: Repository) -> dict[str, Any]:
    oid, size = check_sha256(item.get("oid")), _size(item)
    answer: dict[str, Any] = {"oid": oid, "size": size}
    if repository.size_of(oid) is not None:
        return answer
    address = f"{request.base_url}_lfs/{repository.name.kind}/{repository.name.repo_id}/{oid}/{size}"
    signature = signer.sign(_upload(repository.name, oid, size))
    upload = {"href": f"{address}?signature={signature}"}
    return {**answer, "actions": {"upload": upload, "verify": {"href": f"{address}/verify"}}}


@router.put(_LFS_OBJECT)
async def receive(request: Request, hub: TheHub, oid: str, size: int, signature: str = "") -> dict[str, Any]:
    """Take one LFS object; its bytes must be what was announced."""
    part = request.path_params
    name = RepoName.parse(part["kind"], part["namespace"], part["name"])
    hub.signer.check(_upload(name, oid, size), signature)
    repository = await run_in_threadpool(hub.store.find, name)
    with repository.receiver() as receiver:
        async for chunk in request.stream():
            if receiver.size + len(chunk) > size:
                raise RefusedError(413, f"The object is larger than the {size} bytes that were announced.")
            await run_in_threadpool(receiver.write, chunk)
        path, sha256 = await run_in_threadpool(receiver.finish)
        if (sha256, receiver.size) != (oid, size):
            raise bad_request("The bytes received are not the object that was announced. Send it again.")
        await run_in_threadpool(repository.keep_upload, path, sha256)
    return {}


@router.post(_LFS_OBJECT + "/verify")
def verify(repository: Writable, oid: str, size: int) -> dict[str, Any]:
    """Whether an object has arrived."""
    if repository.size_of(check_sha256(oid)) != size:
        raise RefusedError(404, "The object has not arrived. Send it again.")
    return {}


@router.post(REPO_API + "/commit/{revision}")
async def commit(
    request: Request, hub: TheHub, repository: Writable, revision: Revision, user: Writer
) -> dict[str, Any]:
    """Take a commit as lines of JSON and make it the branch's head."""
    if "create_pr" in request.query_params:
        raise bad_request("There are no pull requests here. Commit to a branch.")
    with CommitBody(repository.incoming, max_bytes=hub.max_commit_bytes, max_file_bytes=hub.inline_bytes) as body:
        async for chunk in request.stream():
            await run_in_threadpool(body.feed, chunk)
        await run_in_threadpool(body.finish)
        message = Message(body.title, body.description, user.name)
        sha = await run_in_threadpool(repository.add_commit, revision, body.changes, message, body.parent)
    return {
        "success": True,
        "commitOid": sha,
        "commitUrl": f"{request.base_url}{repository.name.web_path}/commit/{sha}",
        "hookOutput": "",
    }


@router.get(REPO_API + "/xet-{mode}-token/{revision}")
def no_xet(mode: str, revision: str) -> dict[str, Any]:
    """Say why an upload by Xet cannot work."""
    raise RefusedError(
        403, f"This hub has no Xet storage ({mode}, {revision}): set HF_HUB_DISABLE_XET=1 to send large files by LFS."
    )


def _upload(name: RepoName, oid: str, size: int) -> str:
    return f"{name.web_path} {oid} {size}"


def _objects(body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = body.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise bad_request(f"The body needs a list `{key}`.")
    return items


def _size(item: dict[str, Any]) -> int:
    size = item.get("size")
    if not isinstance(size, int) or size < 0:
        raise bad_request("Each file needs its size in bytes.")
    return size
