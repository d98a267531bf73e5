"""The console commands of an installed package: `catdog serve`, `catdog predict`, `catdog-train` and the others."""

import sys
from importlib import import_module

from catdog.cli import run

_COMMANDS = """\
usage: catdog COMMAND ...

  serve     start the page and the API; settings come from the environment
  predict   classify files, folders, Parquet and data sets

The others: catdog-feedback, catdog-train (needs the extra `train`), catdog-deploy, catdog-devhub.
`catdog COMMAND --help` explains each."""


def catdog() -> int:
    """`catdog`: the app with `serve`, else the commands of `python -m catdog`."""
    arguments = sys.argv[1:]
    if arguments in ([], ["-h"], ["--help"]):
        print(_COMMANDS)  # noqa: T201
        return 0 if arguments else 2
    if arguments[0] == "serve":
        return _run("web", arguments[1:])
    return _run("catdog", arguments)


def feedback() -> int:
    """`catdog-feedback`."""
    return _run("feedback", sys.argv[1:])


def train() -> int:
    """`catdog-train`: loaded by name, since deploying does not depend on training."""
    try:
        return _run("train", sys.argv[1:])
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed. Install the extra: pip install 'catdog[train]'.", file=sys.stderr)  # noqa: T201
        return 2


def deploy() -> int:
    """`catdog-deploy`."""
    return _run("deploy", sys.argv[1:])


def devhub() -> int:
    """`catdog-devhub`."""
    return _run("devhub", sys.argv[1:])


def _run(package: str, arguments: list[str]) -> int:
    """Run a package's command line."""
    return run(import_module(f"{package}.__main__").main, arguments)
