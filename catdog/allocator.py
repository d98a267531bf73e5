"""Memory that was freed: what the C library's allocator does with it, and when Python looks for more of it.

The allocator is told where there is glibc; other C libraries are left as they are.
"""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h
_LARGE_BYTES = 1_000_000
_HUGE_BYTES = 2**30
_NEVER = 2**31 - 1
_ARENAS = 2


def trim() -> None:
    """Give back what was freed between smaller blocks, too; takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def collector_spared() -> Iterator[None]:
    """Make many objects that live long, and refer to no others of their kind, without the cyclic garbage collector.

    It would look at all objects there are again and again while they become more, a third of the time of 100,000 rows,
    and once more afterwards, while every thread waits. So it is off for any thread meanwhile, and leaves alone what
    lives at the end, until the next time: then it looks at all of that once, for some may have become garbage.
    """
    was_on = gc.isenabled()
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.enable()


def return_memory_at_once() -> bool:
    """Let large blocks come from the system and go back to it; returns whether this C library can.

    glibc would learn from the first large picture to keep blocks of up to 32 MB, in an arena for each thread: after a
    flood of large pictures a process would stay at several times what it needs.
    """
    return _set((_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_ARENA_MAX, _ARENAS))


def keep_freed_memory() -> bool:
    """Use the memory of freed blocks again, however large they were; returns whether this C library can.

    glibc would give the maps of each layer back to the system and ask for them again in the next step, which then
    costs the filling of every page: a fifth of the time of a training step on the CPU.
    """
    return _set((_M_MMAP_THRESHOLD, _HUGE_BYTES), (_M_TRIM_THRESHOLD, _NEVER))


def _set(*options: tuple[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return all(mallopt(option, value) for option, value in options)
