"""ONNX Runtime for browsers, from its npm package: the version and the hashes are those of the lock file."""

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path

from catdog.errors import CatdogError, SettingsError

RUNTIME_FILES = (  # in the package; the page's folder has them as .js, see `page_name`
    # For WebAssembly.
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    # For WebGPU; fetched only by browsers that have it.
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
_PACKAGE = "node_modules/onnxruntime-web"
_INSTALL_WITHIN_S = 600
_log = logging.getLogger(__name__)


def find_runtime(browser: Path) -> Path:
    """The folder with `RUNTIME_FILES`; `npm ci` installs it below `browser` if it is not there.

    Raises:
        SettingsError: it is not there, and neither is npm.
        CatdogError: npm failed.
    """
    if _installed(browser) != _locked(browser):
        _install(browser)
    return browser / _PACKAGE / "dist"


def _install(browser: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SettingsError(
            "The static page needs onnxruntime-web, which npm brings, and npm is not here. Install Node.js 20 or newer "
            "(https://nodejs.org), then run this again."
        )
    _log.info("Installing onnxruntime-web %s (once) ...", _locked(browser))
    command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command, cwd=browser, capture_output=True, text=True, check=False, timeout=_INSTALL_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CatdogError(f"npm did not finish: {error}. Check the network, then run this again.") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        raise CatdogError(f"npm could not install onnxruntime-web: {reason}. Check the network, then run this again.")


def _locked(browser: Path) -> str:
    lock = json.loads((browser / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"][_PACKAGE]["version"])


def _installed(browser: Path) -> str | None:
    """The version that is there completely."""
    folder = browser / _PACKAGE
    try:
        version = str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return None
    return version if all((folder / "dist" / name).is_file() for name in RUNTIME_FILES) else None


def page_name(name: str) -> str:
    """A runtime file's name in the page's folder: web servers such as Debian's nginx know no type for `.mjs`."""
    return f"{name.removesuffix('.mjs')}.js" if name.endswith(".mjs") else name


def page_content(name: str, content: bytes) -> bytes:
    """A runtime file as the page gets it: what it loads by name is named as it is there."""
    return re.sub(rb"\.mjs\b", b".js", content) if name.endswith(".mjs") else content
