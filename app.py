"""Serve the page and the API: `python app.py`. A Space and the image start this file; see `web/__main__.py`."""

from catdog.cli import run
from web.__main__ import main

if __name__ == "__main__":
    raise SystemExit(run(main))
