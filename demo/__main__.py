"""`python -m demo`: the whole loop on this machine, narrated; exit code 0 only if every claim held."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from catdog.cli import run
from catdog.errors import SettingsError
from catdog.settings import EMBEDDED_MODEL
from demo.kinds import KINDS
from demo.narrator import Narrator
from demo.pictures import GOOD, PHOTOS, SHAPES, generated, new_to, real_photos
from demo.processes import ROOT
from demo.story import Plan, Story

_PHOTOS = ROOT.parent / "shared" / "data" / "cats_vs_dogs"


def main(argv: Sequence[str]) -> int:
    """Parse the command line and tell the story."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no server outlives the story
    arguments = _parser().parse_args(argv)
    if arguments.work is None:
        with tempfile.TemporaryDirectory(prefix="catdog-loop-") as folder:
            return _tell(arguments, Path(folder))
    if arguments.work.exists() and any(arguments.work.iterdir()):
        raise SettingsError(f"--work {arguments.work} is not empty. Name another folder, or delete it.")
    return _tell(arguments, arguments.work.resolve())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    add = parser.add_argument
    add("--photos", metavar="DATA", help="what the embedded model was trained with, or with --init any photos of two "
        "labels or more: a folder or a Hub data set; ../shared/data/cats_vs_dogs if it is there")  # fmt: skip
    add("--init", metavar="WEIGHTS", help="train a small champion on --photos instead, from these weights: a "
        "safetensors file, or timm/NAME on the Hub")  # fmt: skip
    add("--kind", choices=[*KINDS], default="night", help="what people show the embedded model (%(default)s)")
    add("--generated", action="store_true", help="generated pictures and a small champion, whatever is there")
    add("--no-browser", dest="browser", action="store_false", help="the API alone")
    add("--work", type=Path, metavar="DIR", help="keep everything, logs too, in this empty folder")
    return parser


def _tell(arguments: argparse.Namespace, work: Path) -> int:
    narrator = Narrator()
    Story(_plan(arguments, work, narrator), narrator).run()
    return 0


def _plan(arguments: argparse.Namespace, work: Path, narrator: Narrator) -> Plan:
    """The embedded model where its photos are, else a small champion of pictures that everybody can make."""
    data = arguments.photos or (str(_PHOTOS) if _PHOTOS.is_dir() else None)
    if arguments.init and not data:
        raise SettingsError("--init needs --photos: photos to train a champion with.")
    if arguments.generated or not data:
        if not arguments.generated:
            narrator.tell(
                "The photos that the embedded model was trained with are not here, so the story is told of a small "
                "model and generated pictures. With --photos microsoft/cats_vs_dogs it is told of the embedded model."
            )
        weights = EMBEDDED_MODEL / "model.safetensors"
        fit = ("--init", str(weights), "--recipe", "probe", "--img-size", "64")
        return Plan(generated(SHAPES), fit, (), work, arguments.browser, threads=1)
    if arguments.init:
        fit = ("--init", str(arguments.init), "--recipe", "probe", "--img-size", "80")
        return Plan(real_photos(data, PHOTOS), fit, (), work, arguments.browser)
    narrator.tell("Photos are prepared.")
    material = new_to(EMBEDDED_MODEL, data, GOOD, arguments.kind)
    return Plan(material, (), (), work, arguments.browser, champion=EMBEDDED_MODEL, data=data)


if __name__ == "__main__":
    sys.exit(run(main))
