"""Serve the page and the API: `python app.py`. Settings come from the environment; see docs/settings.md."""

import argparse
import sys
from collections.abc import Sequence

from catdog import __version__
from catdog.cli import run
from catdog.hub.models import load_model
from catdog.settings import load_settings
from feedback.journal.journal import Journal
from web.logs import set_up_log
from web.serve import bind, keep_unused_out, serve


def main(argv: Sequence[str]) -> int:
    """Settings, address, model, journal; the app of these; serve."""
    _parser().parse_args(argv)
    settings = load_settings()
    set_up_log(settings.log_level, settings.log_format)
    keep_unused_out(settings)
    listener = bind(settings.host, settings.port)
    loaded = load_model(settings, last_good_first=settings.reload_seconds > 0)
    journal = Journal.open_or_wait(settings.data_dir)

    from web.app import create_app  # noqa: PLC0415 - Gradio takes seconds to import; what may fail comes first

    behind_proxies = settings.trusted_proxies > 0 or bool(settings.space_id)
    serve(create_app(settings, loaded, journal), listener, behind_proxies=behind_proxies)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python app.py", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
