"""`make lock`: pins what pyproject.toml asks for, for all supported versions of Python and all systems.

`requirements.txt`, what the app is deployed with, carries the hashes of every file that the package index has.
`requirements-train.txt` repeats its pins and `requirements-dev.txt` adds to that, both without hashes: torch's builds
for the CPU and for CUDA come from different indexes under one version, and pip checks either all hashes or none.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_OF_TORCH = re.compile(r"(nvidia-|cuda-|triton)")
"""CUDA packages belong to one build of torch and come with it."""
_APP, _TRAIN, _DEV = "requirements.txt", "requirements-train.txt", "requirements-dev.txt"


def pins(text: str) -> dict[str, str]:
    """The pins of a requirements file: from `name==version ; marker` to that line with its hashes."""
    blocks = re.findall(r"^[a-z0-9][^\n\\]*(?:\\\n[^\n\\]*)*$", text, re.MULTILINE)
    return {block.partition("\\")[0].strip(): block for block in blocks}


def main() -> int:
    """Renew the files; versions that still fit stay, with `--upgrade` all become the newest."""
    names = () if "--upgrade" in sys.argv else (_APP, _TRAIN, _DEV)
    earlier = {pin for name in names for pin in pins((ROOT / name).read_text(encoding="utf-8"))}
    app = _compile((), preferred=earlier)
    train = _compile(("train",), preferred=earlier | app.keys(), constraints=app)
    dev = _compile(("train", "dev"), preferred=earlier | train.keys(), constraints=train)
    _write(_APP, app.values())
    _write(_TRAIN, train)
    _write(_DEV, [f"-r {_TRAIN}", *(pin for pin in dev if pin not in train)])
    return 0


def _compile(extras: Iterable[str], *, preferred: Iterable[str], constraints: Iterable[str] = ()) -> dict[str, str]:
    """Resolve the app with some extras; preferred pins stay if they can, constraints hold."""
    out, limits = ROOT / "requirements.tmp", ROOT / "constraints.tmp"
    out.write_text("".join(f"{pin}\n" for pin in preferred), encoding="utf-8")
    limits.write_text("".join(f"{pin}\n" for pin in constraints), encoding="utf-8")
    command = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", "3.11", "--constraints", limits.name, "--output-file", out.name, "pyproject.toml"]
    try:
        subprocess.run([sys.executable, "-m", "uv", *command, *_extra_options(extras)], cwd=ROOT, check=True)
        found = pins(out.read_text(encoding="utf-8"))
    finally:
        out.unlink()
        limits.unlink()
    return {pin: block for pin, block in found.items() if not _OF_TORCH.match(pin)}


def _extra_options(extras: Iterable[str]) -> list[str]:
    return [option for extra in extras for option in ("--extra", extra)]


def _write(name: str, lines: Iterable[str]) -> None:
    (ROOT / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
