"""The C library's memory allocator, told to give the memory of large pictures back at once."""

import contextlib
import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # glibc's malloc.h
_LARGE_BYTES = 1_000_000
_ARENAS = 2


def trim() -> None:
    """Give back what was freed between smaller blocks, too, where there is glibc; takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def return_memory_at_once() -> bool:
    """Let large blocks come from the system and go back to it; returns whether this C library can.

    glibc would learn from the first large picture to keep blocks of up to 32 MB, in an arena for each thread: after a
    flood of large pictures a process would stay at several times what it needs.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS))
