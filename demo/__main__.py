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
_KIND = "fence"


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
    add("--kind", choices=[*KINDS], help=f"what people show the embedded model ({_KIND})")
    add("--photos", metavar="DATA", help="what the embedded model was trained with, microsoft/cats_vs_dogs or a copy "
        "of it; with --init any photos of two labels or more (../shared/data/cats_vs_dogs if it is there)")  # fmt: skip
    add("--init", metavar="WEIGHTS", help="train a small champion on --photos, from these weights: a safetensors file, "
        "or timm/NAME on the Hub")  # fmt: skip
    add("--generated", action="store_true", help="generated pictures and a small champion: the default without photos")
    add("--no-browser", dest="browser", action="store_false", help="the API alone")
    add("--work", type=Path, metavar="DIR", help="keep everything, logs too, in this empty folder")
    return parser


def _tell(arguments: argparse.Namespace, work: Path) -> int:
    narrator, plan = Narrator(), _plan(arguments, work)
    if not (plan.data or arguments.init or arguments.generated):
        narrator.tell("There are no photos here. --photos microsoft/cats_vs_dogs tells it of the embedded model.")
    Story(plan, narrator).run()
    return 0


def _plan(arguments: argparse.Namespace, work: Path) -> Plan:
    """The embedded model, if there are photos; else a small champion of pictures that everybody can make."""
    data = arguments.photos or (str(_PHOTOS) if _PHOTOS.is_dir() else None)
    if (arguments.init or arguments.kind) and not data:
        raise SettingsError("--init and --kind need --photos: the champion's own, such as microsoft/cats_vs_dogs.")
    if arguments.generated or not data:
        weights = EMBEDDED_MODEL / "model.safetensors"
        fit = ("--init", str(weights), "--recipe", "probe", "--img-size", "64")
        return Plan(generated(SHAPES), fit, (), work, arguments.browser, threads=1)
    if arguments.init:
        fit = ("--init", str(arguments.init), "--recipe", "probe", "--img-size", "80")
        return Plan(real_photos(data, PHOTOS), fit, (), work, arguments.browser)
    material = new_to(EMBEDDED_MODEL, data, GOOD, arguments.kind or _KIND)
    return Plan(material, (), (), work, arguments.browser, champion=EMBEDDED_MODEL, data=data)


if __name__ == "__main__":
    sys.exit(run(main))
