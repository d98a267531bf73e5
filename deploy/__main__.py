"""`python -m deploy`: bring the app to where it runs, and check that it runs there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catdog.cli import add_completion, run
from catdog.errors import SettingsError
from catdog.settings import PROJECT_ROOT, load_settings
from deploy.static.command import add_static_arguments

_HEALTHY_WITHIN_S = 120.0
_BUILT_WITHIN_S = 900.0


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run one subcommand."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Bring the app to where it runs; check it.")
    add_completion(parser, "catdog-deploy")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_smoke(commands.add_parser("smoke", help="check a running service: health, prediction, feedback, metrics"))
    _add_evaluate(commands.add_parser("evaluate", help="how good is the deployed model? Ask it as clients do"))
    _add_rollout(commands.add_parser("rollout", help="another image for compose.yaml; one that fails is taken back"))
    _add_space(commands.add_parser("space", help="create or update the Space that the Spacefile describes"))
    add_static_arguments(commands.add_parser("static", help="build the classifier as a static page; publish it"))
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


def _add_smoke(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Wait until a service is healthy, then go through what a client does: a prediction, feedback on it (which is "
        "taken back), metrics. Exit code 1, and a sentence, if anything is wrong."
    )
    _add_service(parser)
    add("--model", metavar="REPO", help="the Hub repository that must answer")
    add("--revision", metavar="COMMIT", help="the commit of it that must answer")
    add("--fallback", action="store_true", help="accept a cached or embedded model in place of the Hub's")
    add("--image", type=Path, metavar="FILE", help="the picture to send; without, a random one")
    add("--label", help="what the service must see in --image")
    parser.set_defaults(run=_smoke)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Send labelled pictures to a service and write what it says to a JSON list: image, true_label, "
        "predicted_label, confidence, model_revision. On stdout: the live accuracy with its 95% interval, whether the "
        "same model says the same on this machine, and what feedback says (of CATDOG_FEEDBACK_REPO, and of the journal "
        "in CATDOG_DATA_DIR). Use pictures that the model was not trained with."
    )
    _add_service(parser)
    add("--data", required=True, help="a folder with a sub-folder of pictures per label, or with Parquet; or USER/NAME")
    add("--out", type=Path, default=Path("deployment_results.json"), metavar="FILE", help="(default: %(default)s)")
    add("--limit", type=int, metavar="N", help="send N pictures, chosen at random")
    add("--seed", type=int, default=0, help="of that choice (default: %(default)s)")
    add("--model", type=Path, metavar="DIR", help="the same model on this machine; else it is looked for on the Hub")
    parser.set_defaults(run=_evaluate)


def _add_rollout(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Run another image with docker compose on this machine, wait until it is healthy, and smoke it. If anything "
        "fails, the image that ran before runs again, and the exit code is 1."
    )
    add("image", metavar="IMAGE", help="a reference, best one with a digest")
    add("--env-file", type=Path, default=PROJECT_ROOT / ".env", metavar="FILE", help="the settings of compose.yaml")
    add("--url", default="http://127.0.0.1:7860", help="where the app answers (default: %(default)s)")
    add("--timeout", type=float, default=_HEALTHY_WITHIN_S, metavar="SECONDS",
        help="how long it may take to become healthy (default: %(default)s)")  # fmt: skip
    parser.set_defaults(run=_rollout)


def _add_space(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = (
        "Create or update a Space in one commit, follow it until it runs, and smoke it. HF_TOKEN is the token that "
        "deploys, CATDOG_SPACE_TOKEN the one that the Space gets. Without changes, nothing is sent."
    )
    add("--repo", metavar="USER/NAME", help="the Space, instead of the Spacefile's")
    add("--file", type=Path, default=PROJECT_ROOT / "Spacefile", metavar="FILE", help="the Spacefile")
    add("--dry-run", action="store_true", help="only say what would be changed")
    add("--no-wait", action="store_true", help="do not follow it, nor smoke it")
    add("--roll-back", action="store_true", help="if the new version does not work, bring the earlier one back")
    add("--timeout", type=float, default=_BUILT_WITHIN_S, metavar="SECONDS",
        help="how long building and starting may take (default: %(default)s)")  # fmt: skip
    parser.set_defaults(run=_space)


def _add_service(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("url", metavar="URL", help="where the service is")
    add("--timeout", type=float, default=_HEALTHY_WITHIN_S, metavar="SECONDS",
        help="how long it may take to become healthy; where nothing answers it is asked again for as long "
        "(default: %(default)s)")  # fmt: skip
    add(
        "--private", action="store_true", help="send HF_TOKEN, as a private Space asks for it; only to a Space of yours"
    )


def _smoke(arguments: argparse.Namespace) -> int:
    from deploy.check.client import Service  # noqa: PLC0415
    from deploy.check.smoke import Expected, smoke  # noqa: PLC0415

    if arguments.label and not arguments.image:
        raise SettingsError("--label says what --image shows: give both.")
    expected = Expected(arguments.model, arguments.revision, arguments.label, fallback=arguments.fallback)
    picture = _read(arguments.image) if arguments.image else None
    with Service(arguments.url, token=_token(arguments)) as service:
        done = smoke(service, expected, deadline_s=arguments.timeout, picture=picture)
    print(*done, sep="\n")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from deploy.check.command import run_evaluate  # noqa: PLC0415 - ONNX Runtime

    return run_evaluate(arguments, load_settings(), token=_token(arguments))


def _rollout(arguments: argparse.Namespace) -> int:
    from deploy.check.client import Service  # noqa: PLC0415
    from deploy.check.smoke import Expected, smoke  # noqa: PLC0415
    from deploy.rollout import Compose, roll_out  # noqa: PLC0415

    with Service(arguments.url) as service:
        compose = Compose(PROJECT_ROOT, arguments.env_file, deadline_s=arguments.timeout)
        print(
            roll_out(compose, arguments.image, check=lambda: smoke(service, Expected(), deadline_s=arguments.timeout))
        )
    return 0


def _space(arguments: argparse.Namespace) -> int:
    from deploy.space.deploy import Deployment, deploy_space, plan_offline, token_of  # noqa: PLC0415 - the Hub's client takes a second to import
    from deploy.space.spacefile import load_spacefile  # noqa: PLC0415

    spacefile = load_spacefile(arguments.file)
    settings = load_settings()
    if arguments.dry_run and not token_of(settings):
        print(*plan_offline(spacefile, PROJECT_ROOT, settings, repo=arguments.repo), sep="\n")
        return 0
    deployment = Deployment.prepare(spacefile, PROJECT_ROOT, settings, repo=arguments.repo)
    done = deploy_space(
        deployment,
        dry_run=arguments.dry_run,
        wait=not arguments.no_wait,
        roll_back=arguments.roll_back,
        deadline_s=arguments.timeout,
    )
    print(*done, sep="\n")
    return 0


def _token(arguments: argparse.Namespace) -> str | None:
    """The token for a private Space; never sent unasked, since the address may be anybody's."""
    token = load_settings().hf_token
    if arguments.private and token is None:
        raise SettingsError("--private sends the token in HF_TOKEN, which is not set. Set it.")
    return token.get_secret_value() if arguments.private and token else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None


if __name__ == "__main__":
    sys.exit(run(main))
