"""`python -m catdog predict`: classify files and folders."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from catdog.batch import FileResult, classify_files, find_images
from catdog.cli import run
from catdog.errors import ImageError
from catdog.hub import load_model
from catdog.report import FORMATS, write_results
from catdog.settings import load_settings


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m catdog", description="Ask the model what is in pictures.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="classify files and folders",
        description="Classify files and folders with the model that CATDOG_MODEL names (by default the embedded one). "
        "Results go to stdout, progress and problems to stderr. Files that cannot be read are reported and counted; "
        "the exit code is 1 only if nothing could be classified.",
    )
    predict.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder to search")
    predict.add_argument("--format", choices=FORMATS, default="table", help="what to write (default: %(default)s)")
    predict.set_defaults(run=_predict)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


@dataclass(slots=True)
class _Count:
    classified: int = 0
    failed: int = 0


def _predict(arguments: argparse.Namespace) -> int:
    settings = load_settings()
    model = load_model(settings).model
    count = _Count()
    results = classify_files(model, find_images(arguments.paths), limits=settings.image_limits)
    write_results(_counted(results, count), model.labels, format_=arguments.format, out=sys.stdout)
    print(f"{count.classified} classified, {count.failed} failed", file=sys.stderr)
    return 0 if count.classified else 1


def _counted(results: Iterable[FileResult], count: _Count) -> Iterator[FileResult]:
    """Pass results on, counting them, with a progress bar where stderr is a terminal."""
    for result in tqdm(results, unit="image", disable=None, file=sys.stderr):
        if isinstance(result.outcome, ImageError):
            count.failed += 1
        else:
            count.classified += 1
        yield result


if __name__ == "__main__":
    sys.exit(run(main))
