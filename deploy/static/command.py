"""`python -m deploy static`: its arguments, and what they ask for."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from catdog.errors import SettingsError
from catdog.hub.client import HubClient
from catdog.settings import Settings, load_settings


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
    settings = load_settings()
    if arguments.out is not None:
        return _make(arguments, settings, arguments.out)
    with TemporaryDirectory() as folder:
        return _make(arguments, settings, Path(folder) / "page")


def _make(arguments: argparse.Namespace, settings: Settings, out: Path) -> int:
    from deploy.static.build import BROWSER, build_static  # noqa: PLC0415 - the Hub's client and ONNX Runtime, for
    from deploy.static.model import find_static_model  # noqa: PLC0415       this command alone
    from deploy.static.runtime import find_runtime  # noqa: PLC0415

    model = find_static_model(settings)
    built = build_static(model, find_runtime(BROWSER), out, feedback=arguments.feedback)
    size = f"{built.first_load / 1e6:.1f} MB on a first visit"
    print(f"{model.network} of {model.model_id} ({model.revision}): {size}")  # noqa: T201
    if arguments.space is None:
        print(built.folder)  # noqa: T201
    else:
        print(publish_static(built.folder, arguments.space, settings, private=arguments.private))  # noqa: T201
    return 0


def publish_static(folder: Path, repo_id: str, settings: Settings, *, private: bool = False) -> str:
    """Make a static Space hold exactly what a built folder holds, in one commit; unchanged files are not sent.

    Returns:
        The Space's address.

    Raises:
        SettingsError: there is no token, or the name is not valid for a Space.
        HubError: the Hub cannot be reached, or refuses.
    """
    from deploy.space.hub import SpaceHub  # noqa: PLC0415 - a second of imports that building does without

    if settings.hf_token is None:
        raise SettingsError("Publishing needs a token with write access: set HF_TOKEN.")
    client = HubClient.of(settings)
    hub = SpaceHub(client, repo_id)
    with hub.errors("create"):
        client.api.create_repo(repo_id, repo_type="space", space_sdk="static", private=private, exist_ok=True)
    with hub.errors("send files to"):
        client.api.upload_folder(
            repo_id=repo_id,
            repo_type="space",
            folder_path=folder,
            delete_patterns="*",
            commit_message="Publish the static page",
        )
    return hub.page
