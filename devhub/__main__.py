"""`python -m devhub`: a hub on this machine."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catdog.cli import run
from devhub.faults import Faults
from devhub.server import INLINE_BYTES, LOOPBACK, listen, make_server, open_hub
from devhub.tokens import Token, load_tokens


def main(argv: Sequence[str]) -> int:
    """Parse the command line and serve until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m devhub", description="A hub on this machine, for tests, demos and use without internet."
    )
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds everything")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--token", type=Token.parse, action="append", default=[], metavar="NAME=VALUE:ROLE",
        help="a further token, role read or write; better in ROOT/tokens.json, where other users do not see it",
    )  # fmt: skip
    parser.add_argument(
        "--inline-bytes", type=int, default=INLINE_BYTES, metavar="N",
        help="files up to this size travel inside the commit, larger ones by LFS (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--faults", action="store_true", help="allow faults on demand at /_faults, for tests")
    _serve(parser.parse_args(argv))
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    with (
        listen(arguments.host, arguments.port) as listener,
        open_hub(arguments.root, arguments.token, inline_bytes=arguments.inline_bytes) as (hub, new_token),
    ):
        _greet(arguments, listener.getsockname()[1], new_token=new_token)
        make_server(hub, Faults() if arguments.faults else None).run([listener])


def _greet(arguments: argparse.Namespace, port: int, *, new_token: bool) -> None:
    """Print what a shell needs; the token only when it is new."""
    print(f"export HF_ENDPOINT=http://{arguments.host}:{port} HF_HUB_DISABLE_XET=1")
    if new_token:
        print(f"export HF_TOKEN={load_tokens(arguments.root)[0][0].token}")
    else:
        print(f"# the token is in {arguments.root / 'tokens.json'}")
    sys.stdout.flush()
    if arguments.host != LOOPBACK:
        print("Other machines can reach this hub. It speaks plain HTTP: put TLS in front of it.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run(main))
