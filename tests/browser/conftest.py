"""What the tests of the static page share: built pages, and a browser whose camera sees a blue picture."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from catdog.settings import EMBEDDED_MODEL
from deploy.static.build import BROWSER, build_static
from deploy.static.model import load_static_model
from tests.conftest import missing_tool
from tests.toy import encoded, picture, toy_model
from tests.web.page.test_layout import FLAGS, TIMEOUT_MS, find_chromium


@pytest.fixture(scope="session")
def node() -> str:
    """The program `node`."""
    return shutil.which("node") or missing_tool("no Node.js")


@pytest.fixture(scope="session")
def packages(node: str) -> Path:
    """What npm brings the first time: ONNX Runtime for browsers, and the type checker."""
    folder = BROWSER / "node_modules"
    if not (folder / "typescript" / "bin" / "tsc").is_file():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=BROWSER, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            missing_tool(f"npm cannot install packages: {done.stderr.strip()[-300:]}")
    return folder


@pytest.fixture(scope="session")
def runtime(packages: Path) -> Path:
    """The folder of ONNX Runtime for browsers."""
    return packages / "onnxruntime-web" / "dist"


@pytest.fixture(scope="session")
def toy_page(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    """The page with the toy model: it names the strongest colour; above 0.9 brightness it is neither."""
    folder = tmp_path_factory.mktemp("static")
    model = toy_model(folder / "toy", unsure_below=0.6, neither_above=0.9)
    return build_static(load_static_model(model), runtime, folder / "page").folder


@pytest.fixture(scope="session")
def real_page(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    """The page with the embedded model."""
    folder = tmp_path_factory.mktemp("static") / "page"
    return build_static(load_static_model(EMBEDDED_MODEL), runtime, folder).folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Of the module, not the session: its event loop gets in others' way."""
    camera = tmp_path_factory.mktemp("camera") / "blue.mjpeg"
    camera.write_bytes(encoded(picture("blue", (640, 480))))
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(playwright), args=[*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        )
        yield chromium
        chromium.close()
