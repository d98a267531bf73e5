"""Serve the page and the API: `python app.py`. Settings come from the environment; see the README."""

import argparse
import logging
from collections.abc import Sequence

from catdog import __version__
from catdog.cli import run
from catdog.hub import load_model
from catdog.settings import load_settings
from feedback.journal import Journal


def main(argv: Sequence[str]) -> int:
    """Settings, model, journal, app, server."""
    _parser().parse_args(argv)
    settings = load_settings()
    logging.getLogger().setLevel(settings.log_level)
    loaded = load_model(settings)

    from web.build import create_app  # noqa: PLC0415 - seconds of imports, after what may fail at once
    from web.serve import serve  # noqa: PLC0415

    app = create_app(settings, loaded, Journal.open(settings.data_dir))
    serve(app, host=settings.host, port=settings.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python app.py", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))
