"""What every command shares: errors become one sentence and an exit code, never a traceback; and words for counts."""

import argparse
import contextlib
import errno
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from catdog.errors import CatdogError, SettingsError

_INTERRUPTED = 130

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where nothing more can be written."""


def counted(number: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def printable(text: str) -> str:
    """Text from elsewhere, safe to print: control characters and escape sequences are shown escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def add_completion(parser: argparse.ArgumentParser, command: str) -> None:
    """Let a parser print what makes a shell complete its console command, such as `catdog-train`."""
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        const=command,
        help=f"print the script that lets this shell complete `{command}`, and exit; needs `pip install shtab`",
    )


class _Completion(argparse.Action):
    """Prints the script and exits, as `--version` does."""

    def __call__(self, parser: argparse.ArgumentParser, _namespace: Any, shell: Any, _option: Any = None) -> None:
        """Raises SettingsError where shtab is not installed."""
        try:
            import shtab  # noqa: PLC0415 - whoever wants it installs it
        except ImportError:
            raise SettingsError("Completion needs shtab. Install it: pip install shtab.") from None
        parser.prog = self.const
        print(shtab.complete(parser, shell))  # noqa: T201
        parser.exit()


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main` and return its exit code.

    0 is done, 1 a failure that the message on stderr explains, 2 wrong usage or settings, 3 a refusal of the gate.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    for library in ("httpx", "httpx2"):  # they would name every request
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        code = main(sys.argv[1:] if argv is None else argv)
        print(end="", flush=True)  # noqa: T201 - what cannot be written must be known before the exit code
    except CatdogError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        with contextlib.suppress(OSError):
            sys.stdout.close()  # or the interpreter would try once more, and complain
        print(f"error: The output cannot be written: {error.strerror}. Make room, or write elsewhere.", file=sys.stderr)  # noqa: T201
        return 1
    return code
