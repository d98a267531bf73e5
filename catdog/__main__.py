"""`python -m catdog predict`: classify files, folders, Parquet and data sets."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from catdog import __version__
from catdog.batch.classify import Result, classify_pictures
from catdog.batch.collection import STDIN, Collection, Part, Picture
from catdog.batch.folder import LeftOut
from catdog.batch.report import FORMATS, write_results
from catdog.cli import add_completion, run
from catdog.errors import ImageError, SettingsError
from catdog.hub.files import HubFiles
from catdog.hub.models import LoadedModel, load_model
from catdog.settings import Settings, load_settings

_ENGINES = ("threads", "ray")


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m catdog", description="Classify pictures with the model.")
    parser.add_argument("--version", action="version", version=f"catdog {__version__}")
    add_completion(parser, "catdog")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="classify pictures, one or millions",
        description="Classify pictures with the model that CATDOG_MODEL names (by default the embedded one). "
        "Results go to stdout, or with --out into a folder of Parquet files, where the same command goes on after an "
        "interruption; progress and problems go to stderr. Pictures that cannot be read are reported and counted; the "
        "exit code is 1 only if nothing could be classified.",
    )
    add = predict.add_argument
    add("paths", nargs="+", metavar="PATH",
        help="a picture (`-`: from standard input), a Parquet file, a folder to search for both, or a data set on "
        "the Hub: hf://datasets/USER/NAME")  # fmt: skip
    add("--model", metavar="MODEL", help="a model folder or a Hub repository (default: CATDOG_MODEL)")
    add("--format", choices=FORMATS,
        help="what to write to stdout (default: table); csv is UTF-8 without a byte order mark: open it in Excel by "
        "Data > From Text/CSV, or put the mark before it, see docs/api.md")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="write Parquet files into this folder instead")
    add("--engine", choices=_ENGINES, default="threads",
        help="ray: on the cluster that RAY_ADDRESS names, or all cores of this machine; needs --out "
        "(default: %(default)s)")  # fmt: skip
    add("--part-size", type=_positive, default=1000, metavar="N",
        help="about so many pictures are in each file of --out, and are lost by an interruption "
        "(default: %(default)s)")  # fmt: skip
    predict.set_defaults(run=_predict)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


@dataclass(slots=True)
class _Count:
    classified: int = 0
    failed: int = 0
    before: int = 0
    """Parts that were answered by an earlier run."""

    def report(self, left_out: LeftOut) -> int:
        """Print it to stderr, with what was left out of folders; returns the exit code."""
        if left_out:
            print(left_out.sentence(), file=sys.stderr)
        earlier = f", {self.before} parts were there already" if self.before else ""
        print(f"{self.classified} classified, {self.failed} failed{earlier}", file=sys.stderr)
        return 0 if self.classified or self.before else 1


def _predict(arguments: argparse.Namespace) -> int:
    if arguments.out is None and arguments.engine == "ray":
        raise SettingsError("--engine ray writes Parquet files. Name their folder with --out.")
    if arguments.out is not None and arguments.format:
        raise SettingsError("--out writes Parquet files, and --format is for stdout. Give one of them.")
    settings = load_settings()
    if arguments.model:
        settings = settings.model_copy(update={"model": arguments.model})
    loaded = load_model(settings)
    collection = Collection(HubFiles(settings))
    parts = collection.parts(arguments.paths, size=arguments.part_size)
    if arguments.out is not None:
        return _fill(arguments, settings, loaded, collection, list(parts))
    count = _Count()
    pictures = map(_from_stdin, chain.from_iterable(map(collection.read, parts)))
    results = classify_pictures(loaded.model, pictures, limits=settings.image_limits)
    labels = loaded.model.labels
    write_results(_counted(results, count), labels, format_=arguments.format or "table", out=sys.stdout)
    return count.report(collection.left_out)


def _from_stdin(picture: Picture) -> Picture:
    """The picture named `-` is read when its turn comes."""
    return replace(picture, row=None, data=sys.stdin.buffer.read()) if picture.path == STDIN else picture


def _fill(
    arguments: argparse.Namespace,
    settings: Settings,
    loaded: LoadedModel,
    collection: Collection,
    parts: Sequence[Part],
) -> int:
    """Write what is missing in a folder of answers."""
    from catdog.batch.results_folder import ResultsFolder, count_answers  # noqa: PLC0415 - it imports Arrow

    folder = ResultsFolder.open(arguments.out, loaded.model, parts)
    pending = folder.pending()
    count = _Count(before=len(parts) - len(pending))
    missing = [(number, parts[number]) for number in pending]
    with tqdm(total=len(parts), initial=count.before, unit="part", disable=None, file=sys.stderr) as bar:
        for number, answers in _answers(arguments.engine, missing, settings, loaded, collection):
            folder.write(number, answers)
            classified, failed = count_answers(answers)
            count.classified += classified
            count.failed += failed
            bar.update()
    return count.report(collection.left_out)


def _answers(
    engine: str,
    parts: Sequence[tuple[int, Part]],
    settings: Settings,
    loaded: LoadedModel,
    collection: Collection,
) -> Iterator[tuple[int, bytes]]:
    """Encoded answers to each part, with its number."""
    if engine == "ray" and parts:
        from catdog.batch.ray_engine import score_with_ray  # noqa: PLC0415 - it imports Arrow

        yield from score_with_ray(parts, loaded)
        return
    from catdog.batch.results_folder import encode  # noqa: PLC0415

    for number, part in parts:
        results = classify_pictures(loaded.model, collection.read(part), limits=settings.image_limits)
        yield number, encode(results, loaded.model)


def _counted(results: Iterable[Result], count: _Count) -> Iterator[Result]:
    """Pass results on, counting them, with a progress bar where stderr is a terminal."""
    for result in tqdm(results, unit="image", disable=None, file=sys.stderr):
        if isinstance(result.outcome, ImageError):
            count.failed += 1
        else:
            count.classified += 1
        yield result


if __name__ == "__main__":
    sys.exit(run(main))
