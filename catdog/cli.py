"""What every command shares: errors become one sentence and an exit code, never a traceback; and words for counts."""

import argparse
import contextlib
import logging
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO, cast

from catdog.errors import CatdogError, SettingsError
from catdog.files import DISK_FULL

_INTERRUPTED = 130


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
            raise SettingsError("Completion needs shtab. Install it: pip install shtab") from None
        parser.prog = self.const
        print(shtab.complete(parser, shell))  # noqa: T201
        parser.exit()


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""All but tab and line feed: control characters, marks that turn the direction of writing, bytes that are not UTF-8."""
_CURSOR = re.compile("\n*(\x1b\\[A)*")
"""What progress bars write to move between lines."""


class _Harmless:
    """A stream that shows control characters escaped: names of files and labels may hold orders to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write all but control characters as they are; a progress bar may return to the line's beginning."""
        if not _CURSOR.fullmatch(text):
            bar = text.startswith("\r")
            text = "\r" * bar + _CONTROL.sub(lambda found: printable(found[0]), text[bar:])
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines likewise."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _harmless(stream: TextIO, *, always: bool) -> TextIO:
    """The stream, or one in its place if it ends on a terminal; files and programs get what was written."""
    return cast("TextIO", _Harmless(stream)) if always or stream.isatty() else stream


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main` and return its exit code.

    0 is done, 1 a failure that the message on stderr explains, 2 wrong usage or settings, 3 a refusal of the gate.
    Control characters reach neither stderr nor a terminal.
    """
    with (
        contextlib.redirect_stdout(_harmless(sys.stdout, always=False)),
        contextlib.redirect_stderr(_harmless(sys.stderr, always=True)),
    ):
        return _run(main, sys.argv[1:] if argv is None else argv)


def _run(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    for library in ("httpx", "httpx2"):  # they would name every request
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        code = main(argv)
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
