"""The body of a commit: lines of JSON, read as they come. Small files in it go straight to disk."""

import base64
import binascii
import json
from pathlib import Path
from typing import Any, Self

from devhub.refusal import RefusedError, bad_request
from devhub.storage.changes import AddFile, AddLfs, Change, Delete
from devhub.storage.files import stage
from devhub.storage.names import check_path, check_sha256, is_commit

_LINE_OVERHEAD = 64_000
_MAX_CHANGES = 100_000


class CommitBody:
    """Collects a commit's header and changes from chunks of its body; memory holds one line at a time.

    As a context manager it removes files that no commit has taken.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_file_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_line = max_file_bytes * 4 // 3 + _LINE_OVERHEAD
        self._size = 0
        self._line = bytearray()
        self._seen_header = False
        self.title = ""
        self.description = ""
        self.parent: str | None = None
        self.changes: list[Change] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for change in self.changes:
            if isinstance(change, AddFile):
                change.staged.path.unlink(missing_ok=True)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            RefusedError: 413, the body or one file in it is too large; 400, a line makes no sense.
        """
        self._size += len(chunk)
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._line += part
            self._take_line()
        self._line += rest
        if self._size > self._max_bytes or len(self._line) > self._max_line:
            raise RefusedError(413, "The commit is too large. Split it, or send large files by LFS.")

    def finish(self) -> None:
        """Take a last line without an end, and check that there was a header."""
        self._take_line()
        if not self._seen_header:
            raise bad_request("A commit needs a header.")

    def _take_line(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        if not line.strip():
            return
        try:
            item = json.loads(line)
            key, value = item["key"], item["value"]
        except (ValueError, KeyError, TypeError):
            raise bad_request("Each line of a commit must be a JSON object with key and value.") from None
        if not isinstance(value, dict) or (key == "header") == self._seen_header or len(self.changes) >= _MAX_CHANGES:
            raise bad_request("A commit is one header and then its changes.")
        if key == "header":
            self._take_header(value)
        else:
            self.changes.append(self._change(key, value))

    def _take_header(self, value: dict[str, Any]) -> None:
        self._seen_header = True
        self.title = str(value.get("summary", ""))
        self.description = str(value.get("description", ""))
        parent = value.get("parentCommit")
        if parent is not None and not (isinstance(parent, str) and is_commit(parent)):
            raise bad_request("parentCommit must be a full commit id.")
        self.parent = parent

    def _change(self, key: object, value: dict[str, Any]) -> Change:
        path = check_path(str(value.get("path", "")).rstrip("/"))
        match key:
            case "file":
                return AddFile(path, stage(self._folder, _content(value)))
            case "lfsFile":
                return AddLfs(path, check_sha256(value.get("oid")))
            case "deletedFile" | "deletedFolder":
                return Delete(path, folder=key == "deletedFolder")
        raise bad_request(f"A commit cannot hold {key!r} here.")


def _content(value: dict[str, Any]) -> bytes:
    content, encoding = value.get("content"), value.get("encoding", "utf-8")
    if not isinstance(content, str) or encoding not in ("utf-8", "base64"):
        raise bad_request("A file's content must be text in base64 or UTF-8.")
    if encoding == "utf-8":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise bad_request("A file's content is not valid base64.") from None
