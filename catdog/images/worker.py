"""The process that decodes pictures which may be anything, so that it can be stopped: started by `catdog.images.pool`.

It reads requests from its standard input and writes answers to its standard output: the length of a JSON object, the
object, and then as many bytes as that says. The kernel bounds its memory for good, and its processor time for each
picture; beyond that it is killed. It holds no secret and can write no file.
"""

import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from PIL import Image

from catdog.errors import ImageError, UnreadableImageError
from catdog.images.decode import DAMAGED, ImageLimits, open_image

_LENGTH = struct.Struct("<I")
_NICE = 5  # whoever waits for an ordinary picture comes first


def write_message(out: IO[bytes], head: Mapping[str, Any], body: bytes = b"") -> None:
    """Write one message."""
    encoded = json.dumps({**head, "bytes": len(body)}).encode()
    out.write(_LENGTH.pack(len(encoded)) + encoded)
    out.write(body)
    out.flush()


def read_message(source: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message.

    Raises:
        EOFError: the other end was closed.
    """
    head: dict[str, Any] = json.loads(_read(source, _LENGTH.unpack(_read(source, _LENGTH.size))[0]))
    return head, _read(source, head["bytes"])


def main() -> None:
    """Answer requests until the other end closes."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get into the answers
    with contextlib.suppress(EOFError, BrokenPipeError):
        settings, _ = read_message(requests)
        _limit_process(settings["memory_bytes"])
        while True:
            head, data = read_message(requests)
            write_message(answers, *_answer(head, data))


def _answer(head: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        with _processor_time(head["cpu_s"]):
            image = open_image(data, limits=ImageLimits(**head["limits"]), side=head["side"]).decode()
    except ImageError as error:
        return {"error": type(error).__name__, "detail": str(error)}, b""
    except MemoryError:
        return {"error": UnreadableImageError.__name__, "detail": DAMAGED}, b""
    return {"size": image.size, "resident": _resident_bytes()}, Image.Image.tobytes(image)


@contextlib.contextmanager
def _processor_time(seconds: float) -> Any:
    """Let the kernel end this process if the block takes longer."""
    if not hasattr(signal, "setitimer"):  # not on Windows
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_process(memory_bytes: int) -> None:
    try:
        import resource  # noqa: PLC0415
    except ModuleNotFoundError:  # not on Windows
        return
    os.nice(_NICE)
    for kind, most in (
        (resource.RLIMIT_AS, _address_space_bytes() + memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # where the system doesn't know the limit, or has a lower one
            resource.setrlimit(kind, (most, most))


def _address_space_bytes() -> int:
    return _memory_pages(0) * 4096


def _resident_bytes() -> int:
    return _memory_pages(1) * 4096


def _memory_pages(column: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[column])
    except OSError:
        return 2**18 if not column else 0


def _read(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data
