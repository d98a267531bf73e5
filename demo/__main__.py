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
    add("--kind", choices=[*KINDS], help="tell it of the embedded model, which people show this: takes up to "
        "half an hour, and needs the photos that it was trained with")  # fmt: skip
    add("--photos", metavar="DATA", help="with --kind these photos, with --init any of two labels or more: a folder or "
        "a Hub data set; ../shared/data/cats_vs_dogs if it is there")  # fmt: skip
    add("--init", metavar="WEIGHTS", help="train a small champion on --photos, from these weights: a safetensors file, "
        "or timm/NAME on the Hub")  # fmt: skip
    add("--generated", action="store_true", help="generated pictures and a small champion: the default")
    add("--no-browser", dest="browser", action="store_false", help="the API alone")
    add("--work", type=Path, metavar="DIR", help="keep everything, logs too, in this empty folder")
    return parser


def _tell(arguments: argparse.Namespace, work: Path) -> int:
    narrator = Narrator()
    Story(_plan(arguments, work), narrator).run()
    return 0


def _plan(arguments: argparse.Namespace, work: Path) -> Plan:
    """A small champion of pictures that everybody can make, unless photos are asked for."""
    data = arguments.photos or (str(_PHOTOS) if _PHOTOS.is_dir() else None)
    if (arguments.init or arguments.kind) and not data:
        raise SettingsError("--init and --kind need --photos: the champion's own, such as microsoft/cats_vs_dogs.")
    if arguments.photos and not (arguments.init or arguments.kind):
        raise SettingsError("--photos needs --kind (for the embedded model) or --init (for a small one).")
    if arguments.generated or not (arguments.init or arguments.kind):
        weights = EMBEDDED_MODEL / "model.safetensors"
        fit = ("--init", str(weights), "--recipe", "probe", "--img-size", "64")
        return Plan(generated(SHAPES), fit, (), work, arguments.browser, threads=1)
    if arguments.init and data:
        fit = ("--init", str(arguments.init), "--recipe", "probe", "--img-size", "80")
        return Plan(real_photos(data, PHOTOS), fit, (), work, arguments.browser)
    assert data is not None and arguments.kind  # noqa: PT018 - both were asked for above
    material = new_to(EMBEDDED_MODEL, data, GOOD, arguments.kind)
    return Plan(material, (), (), work, arguments.browser, champion=EMBEDDED_MODEL, data=data)


if __name__ == "__main__":
    sys.exit(run(main))
