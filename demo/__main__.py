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
from demo.narrator import Narrator
from demo.pictures import PHOTOS, SHAPES, generated, real_photos
from demo.processes import ROOT
from demo.story import Plan, Story

_SHARED = ROOT.parent / "shared"
_PHOTOS = _SHARED / "data" / "cats_vs_dogs"
_WEIGHTS = _SHARED / "weights" / "tf_mobilenetv3_small_100.in1k.safetensors"


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
    add("--photos", metavar="DATA", help="real photos: a folder or a Hub data set, with two labels or more; "
        "../shared/data/cats_vs_dogs if it is there")  # fmt: skip
    add("--init", metavar="WEIGHTS", help="starting weights for --photos: a safetensors file, or timm/NAME on the Hub")
    add("--generated", action="store_true", help="generated pictures, whatever is there")
    add("--no-browser", dest="browser", action="store_false", help="the API alone")
    add("--work", type=Path, metavar="DIR", help="keep everything, logs too, in this empty folder")
    return parser


def _tell(arguments: argparse.Namespace, work: Path) -> int:
    narrator = Narrator()
    Story(_plan(arguments, work), narrator).run()
    return 0


def _plan(arguments: argparse.Namespace, work: Path) -> Plan:
    """Real photos where they are, else pictures that everybody can make."""
    if bool(arguments.photos) != bool(arguments.init):
        raise SettingsError("--photos and --init belong together: photos, and weights to start from.")
    data, init = arguments.photos or _PHOTOS, arguments.init or _WEIGHTS
    if arguments.generated or not (arguments.photos or (_PHOTOS.is_dir() and _WEIGHTS.is_file())):
        weights = EMBEDDED_MODEL / "model.safetensors"
        fit = ("--init", str(weights), "--recipe", "probe", "--img-size", "64")
        return Plan(generated(SHAPES), fit, (), work, arguments.browser, threads=1)
    fit = ("--init", str(init), "--recipe", "probe", "--img-size", "80")
    return Plan(real_photos(str(data), PHOTOS), fit, ("--epochs", "6"), work, arguments.browser)


if __name__ == "__main__":
    sys.exit(run(main))
