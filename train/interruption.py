"""Ctrl-C and a system's polite end become one sentence that says how to go on."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from catdog.errors import StoppedError


@contextmanager
def clear_interruption(advice: Callable[[], str]) -> Iterator[None]:
    """End the block on SIGINT or SIGTERM, with the tidying that an exception brings.

    Args:
        advice: Says how to go on; asked when it happens.

    Raises:
        StoppedError: a signal came.
    """
    in_main = threading.current_thread() is threading.main_thread()  # Python allows handlers only there
    earlier = signal.signal(signal.SIGTERM, _interrupt) if in_main else None
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"Interrupted. {advice()}") from None
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, earlier)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
