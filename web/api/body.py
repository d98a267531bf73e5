"""A picture in the body of a request: raw, in a form, or as base64 in JSON.

Bodies wait for their turn on the disk, since many of them would not fit into memory, and are parsed in a thread. A form
is searched for its boundaries by `bytes.find`, so that one full of almost-boundaries costs no more than another.
"""

import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from catdog.errors import UnreadableImageError
from web.middleware.body_limit import media_type

IN_MEMORY_BYTES = 256_000
"""Smaller bodies stay in memory."""

_PARSED_AT_ONCE = 2
_PARSING: RunVar[CapacityLimiter] = RunVar("parsing")
_WINDOW_BYTES = 256_000
_MOST_FALSE_BOUNDARIES = 1000
_PART_HEADER_BYTES = 4000
_FIELD_BYTES = 1000
_MOST_PARTS = 16
_BAD_REQUEST = 400
_BOUNDARY = re.compile(r""";\s*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))""", re.IGNORECASE)
_PARAMETER = re.compile(rb""";\s*(name|filename\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))""", re.IGNORECASE)
_RAW_TYPES = ("application/octet-stream", "binary/octet-stream")

Reader = Callable[[], bytes]
"""Reads a picture; called in a worker thread, when it is this picture's turn."""

Parsed = TypeVar("Parsed")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Form:
    """A form's text fields, and its picture."""

    fields: Mapping[str, str] = field(default_factory=dict)
    picture: Reader | None = None


def is_raw(content_type: str) -> bool:
    """Whether a body of this type is a picture and nothing else."""
    kind = media_type(content_type)
    return kind.startswith("image/") or kind in _RAW_TYPES


@asynccontextmanager
async def spooled_body(request: Request) -> AsyncIterator[IO[bytes]]:
    """The body as a file, which is gone after the block."""
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
        async for chunk in request.stream():
            file.write(chunk)
        file.seek(0)
        yield file


@asynccontextmanager
async def parsed_form(request: Request, *, max_fields: int) -> AsyncIterator[Form]:
    """A form with one picture, named `file`, and a few text fields. Its picture is gone after the block.

    Raises:
        HTTPException: the form is damaged, or has more or larger parts.
    """
    boundary = _BOUNDARY.search(request.headers.get("Content-Type", ""))
    if boundary is None:
        raise _damaged("it has no boundary")
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    async with spooled_body(request) as file:
        yield await _in_thread(partial(_parse_form, file, delimiter, max_fields), file)


@asynccontextmanager
async def parsed_json(request: Request, model: type[Model]) -> AsyncIterator[Model]:
    """A JSON body that may hold a picture, parsed where it can wait.

    Raises:
        RequestValidationError: it does not fit the model.
    """
    async with spooled_body(request) as file:
        yield await _in_thread(lambda: validated(model, file.read()), file)


def validated(model: type[Model], body: bytes | Mapping[str, str]) -> Model:
    """JSON or a form's fields as a model.

    Raises:
        RequestValidationError: they do not fit, as FastAPI would have raised it.
    """
    try:
        return model.model_validate_json(body) if isinstance(body, bytes) else model.model_validate(body)
    except ValidationError as error:
        found = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_input=False)]
        raise RequestValidationError(found) from None


def decoded(text: str) -> bytes:
    """The bytes of a picture in base64, also of a `data:` address (RFC 2397).

    Raises:
        UnreadableImageError: it is not base64.
    """
    head, comma, rest = text.partition(",")
    if comma and not (head.startswith("data:") and head.endswith(";base64")):
        raise UnreadableImageError("The picture is not valid base64. Send data:image/jpeg;base64,…")
    try:
        return base64.b64decode(rest if comma else text, validate=True)
    except ValueError:
        raise UnreadableImageError("The picture is not valid base64. Encode the file's bytes.") from None


async def _in_thread(parse: Callable[[], Parsed], file: IO[bytes]) -> Parsed:
    """Parse a small body at once, and a larger one in a thread; few at a time, for each may be in memory."""
    if not getattr(file, "_rolled", True):
        return parse()
    return await to_thread.run_sync(parse, limiter=_parsing())


def _parsing() -> CapacityLimiter:
    """The limiter of the running event loop."""
    try:
        return _PARSING.get()
    except LookupError:
        limiter = CapacityLimiter(_PARSED_AT_ONCE)
        _PARSING.set(limiter)
        return limiter


def _parse_form(file: IO[bytes], delimiter: bytes, max_fields: int) -> Form:
    """Find the parts between the delimiters (RFC 2046, 5.1.1)."""
    fields: dict[str, str] = {}
    picture: Reader | None = None
    for start, end in _parts(file, delimiter):
        file.seek(start)
        head, blank, _ = file.read(min(_PART_HEADER_BYTES, end - start)).partition(b"\r\n\r\n")
        if not blank:
            raise _damaged("a part has no headers, or too many")
        name, is_file = _named(head)
        first = start + len(head) + len(blank)
        if name == "file":
            if picture is not None:
                raise HTTPException(_BAD_REQUEST, "a form may have one file")
            picture = partial(_read, file, first, end)
        elif is_file or len(fields) >= max_fields or end - first > _FIELD_BYTES:
            raise HTTPException(_BAD_REQUEST, "the form has a part too many, or one that is too large")
        else:
            fields[name] = _read(file, first, end).decode("utf-8", "replace")
    return Form(fields, picture)


def _parts(file: IO[bytes], delimiter: bytes) -> list[tuple[int, int]]:
    """Where each part begins and ends, headers included."""
    boundaries = _Boundaries(file, delimiter)
    parts: list[tuple[int, int]] = []
    _, start, is_last = boundaries.next(-2)  # the first delimiter may lack its line break
    while not is_last:
        end, following, is_last = boundaries.next(max(0, start - 2))  # an empty part has no line break of its own
        parts.append((start, max(start, end)))
        start = following
        if len(parts) > _MOST_PARTS:
            raise HTTPException(_BAD_REQUEST, "the form has too many parts")
    return parts


class _Boundaries:
    """Finds delimiters in a file, window by window."""

    def __init__(self, file: IO[bytes], delimiter: bytes) -> None:
        self._file = file
        self._delimiter = delimiter
        self._false = 0

    def next(self, start: int) -> tuple[int, int, bool]:
        """The next one: where it begins, where what follows begins, and whether it is the last.

        Raises:
            HTTPException: there is none.
        """
        while (at := self._find(start)) is not None:
            after = at + len(self._delimiter)
            self._file.seek(after)
            tail = self._file.read(100)
            if tail.startswith(b"--"):
                return at, after, True
            line, newline, _ = tail.partition(b"\r\n")
            if newline and not line.strip(b" \t"):
                return at, after + len(line) + 2, False
            self._false += 1
            if self._false > _MOST_FALSE_BOUNDARIES:
                raise _damaged("it repeats its boundary too often")
            start = after
        raise _damaged("it does not end")

    def _find(self, start: int) -> int | None:
        """Where the delimiter is; a start of -2 lets the file begin with it, as if after a line break."""
        window = b"\r\n" if start < 0 else b""
        position = start + len(window)
        self._file.seek(position)
        position -= len(window)
        while chunk := self._file.read(_WINDOW_BYTES):
            window += chunk
            if (at := window.find(self._delimiter)) >= 0:
                return position + at
            kept = len(self._delimiter) - 1
            position += max(0, len(window) - kept)
            window = window[-kept:]
        return None


def _named(head: bytes) -> tuple[str, bool]:
    """The name of a part, and whether it is a file."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            given = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(value)}
            if b"name" in given:
                return given[b"name"].decode("utf-8", "replace"), bool(given.keys() & {b"filename", b"filename*"})
    raise _damaged("a part has no name")


def _read(file: IO[bytes], start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _damaged(why: str) -> HTTPException:
    return HTTPException(_BAD_REQUEST, f"the form is damaged: {why}")
