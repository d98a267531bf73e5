"""What ends a command early, in one sentence: a full disk, a folder that can't be written, SIGINT and SIGTERM."""

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from safetensors import SafetensorError

from catdog.errors import DataError, SettingsError, StoppedError
from catdog.files import DISK_FULL

_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG)


@contextmanager
def clear_disk_errors(folder: Path) -> Iterator[None]:
    """Say in a sentence that the disk is full, or that a folder can't be written.

    Raises:
        SettingsError: the folder cannot be written.
        DataError: the disk is full.
    """
    full = DataError(f"The disk is full, so {folder} could not be finished. Make room and start the command again.")
    try:
        yield
    except SafetensorError as error:
        if not any(f"(os error {number})" in str(error) for number in DISK_FULL):
            raise
        raise full from None
    except OSError as error:
        if error.errno in DISK_FULL:
            raise full from None
        if error.errno in _NOT_WRITABLE:
            raise SettingsError(f"{folder} cannot be written: {error.strerror}. Choose another --out.") from None
        raise


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
