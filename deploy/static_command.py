"""`python -m deploy static`: its arguments, and what they ask for."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from catdog.errors import SettingsError
from catdog.settings import load_settings
from deploy.static_build import BROWSER, Built, build_static
from deploy.static_model import StaticModel, find_static_model
from deploy.static_runtime import find_runtime


def add_static_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add = parser.add_argument
    parser.description = (
        "Build the classifier as a static page: the model of CATDOG_MODEL runs in the visitor's browser. "
        "The first time, npm (Node.js 20 or newer) fetches ONNX Runtime for it."
    )
    add("--out", type=Path, metavar="DIR", help="the folder to build; any web server can serve it")
    add("--space", metavar="USER/NAME", help="publish it as a static Space, which is created if need be")
    add("--private", action="store_true", help="create the Space as private")
    add("--feedback", metavar="URL", help="the app that takes corrections, and lists the page in CATDOG_CORS_ORIGINS; "
        "without one they stay in the visitor's browser, with an export")  # fmt: skip
    parser.set_defaults(run=run_static)


def run_static(arguments: argparse.Namespace) -> int:
    """Build, and publish if asked to."""
    if arguments.out is None and arguments.space is None:
        raise SettingsError("Name a folder with --out, or a Space with --space.")
    model, runtime = find_static_model(load_settings()), find_runtime(BROWSER)
    if arguments.out is not None:
        _finish(arguments, model, build_static(model, runtime, arguments.out, feedback=arguments.feedback))
        return 0
    with TemporaryDirectory() as folder:
        _finish(arguments, model, build_static(model, runtime, Path(folder) / "page", feedback=arguments.feedback))
    return 0


def _finish(arguments: argparse.Namespace, model: StaticModel, built: Built) -> None:
    megabytes = built.first_load / 1e6
    print(f"{built.folder}: {model.network} of {model.model_id}; {megabytes:.1f} MB on a first visit")  # noqa: T201
    if arguments.space is not None:
        from deploy.static_space import publish_static  # noqa: PLC0415 - the Hub's client, for this alone

        print(publish_static(built.folder, arguments.space, load_settings(), private=arguments.private))  # noqa: T201
