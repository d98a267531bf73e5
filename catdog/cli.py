"""What every command shares: errors become one sentence and an exit code, never a traceback."""

import logging
import sys
from collections.abc import Callable, Sequence

from catdog.errors import CatdogError

_INTERRUPTED = 130


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main` and return its exit code.

    0 is done, 1 a failure that the message on stderr explains, 2 wrong usage or settings, 3 a refusal of the gate.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except CatdogError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
