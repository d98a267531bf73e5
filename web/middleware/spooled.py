"""Pictures that come in a request's body wait for their turn on the disk: in memory, many of them would be too much."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

IN_MEMORY_BYTES = 256_000
"""What is smaller stays in memory."""

_MULTIPART = "multipart/form-data"
_BAD_REQUEST = 400


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form that may hold files."""
    return content_type.partition(";")[0].strip().lower() == _MULTIPART


@asynccontextmanager
async def spooled_body(request: Request) -> AsyncIterator[IO[bytes]]:
    """The body, as a file that is gone after the block."""
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
        async for chunk in request.stream():
            file.write(chunk)
        file.seek(0)
        yield file


@asynccontextmanager
async def spooled_form(
    request: Request, *, max_files: int, max_fields: int, max_part_size: int = IN_MEMORY_BYTES
) -> AsyncIterator[FormData]:
    """A form's fields and files, which are gone after the block; nothing where the body is no form.

    Raises:
        HTTPException: the form is damaged, or has more or larger parts.
    """
    if not is_form(request.headers.get("Content-Type", "")):
        yield FormData()
        return
    limits = {"max_files": max_files, "max_fields": max_fields, "max_part_size": max_part_size}
    try:
        form = await _Parser(request.headers, request.stream(), **limits).parse()
    except MultiPartException as error:
        raise HTTPException(_BAD_REQUEST, error.message) from None
    try:
        yield form
    finally:
        await form.close()


class _Parser(MultiPartParser):
    spool_max_size = IN_MEMORY_BYTES
