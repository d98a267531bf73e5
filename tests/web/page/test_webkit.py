"""The page in WebKit, Safari's engine, where a package brings it (Debian: `webkit2gtk-driver` and `xvfb`)."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, wait_for
from tests.web.page.test_layout import INSIDE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

POLL = "while (!(%s)) await new Promise((again) => setTimeout(again, 50)); return true;"
ASYNC = "const done = arguments[arguments.length - 1]; (async () => { %s })().then(done, (e) => done(String(e)));"


@dataclass(frozen=True)
class Tab:
    """A tab of WebKit, driven by the W3C's WebDriver protocol."""

    http: httpx.Client
    path: str

    def send(self, path: str, **sent: Any) -> Any:
        response = self.http.post(f"{self.path}{path}", json=sent)
        assert response.is_success, response.text
        return response.json()["value"]

    def run(self, code: str) -> Any:
        return self.send("/execute/async", script=ASYNC % code, args=[])

    def wait(self, condition: str) -> None:
        assert self.run(POLL % condition) is True

    def choose(self, path: Path) -> None:
        (element,) = self.send("/element", using="css selector", value="#photo input").values()
        self.send(f"/element/{element}/value", text=str(path))


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}")
    return found


@contextmanager
def process(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def tab(server: Server) -> Iterator[Tab]:
    """The page, ready."""
    driver, screen = program("WebKitWebDriver"), program("Xvfb")
    mini = next(Path("/usr").glob("lib*/**/webkit2gtk-*/MiniBrowser"), None)
    if mini is None:
        pytest.skip("no MiniBrowser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    read, write = os.pipe()
    with process(screen, "-displayfd", str(write), "-screen", "0", "1280x1000x24", pass_fds=[write]):
        os.close(write)
        with os.fdopen(read) as number:
            display = f":{number.readline().strip()}"
        environment = {**os.environ, "DISPLAY": display, "WEBKIT_DISABLE_DMABUF_RENDERER": "1"}
        with (
            process(driver, f"--port={port}", env=environment) as running_driver,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as http,
        ):
            wait_for(lambda: running_driver.poll() is not None or is_up(http), "the driver")
            options = {"webkitgtk:browserOptions": {"binary": str(mini), "args": ["--automation"]}}
            made = http.post("/session", json={"capabilities": {"alwaysMatch": options}}).json()["value"]
            tab = Tab(http, f"/session/{made['sessionId']}")
            tab.send("/timeouts", script=1000 * DEADLINE_S, pageLoad=1000 * DEADLINE_S)
            tab.send("/url", url=server.url)
            tab.wait("document.documentElement.classList.contains('ready')")
            yield tab
            http.delete(tab.path)


def is_up(http: httpx.Client) -> bool:
    try:
        return http.get("/status").is_success
    except httpx.TransportError:
        return False


def test_a_photo_is_answered_explained_and_corrected(tab: Tab, server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "red.png"
    photo.write_bytes(encoded(picture("red", (80, 240)), "PNG"))
    tab.choose(photo)
    tab.wait("document.querySelector('#answer .verdict')?.textContent === 'Red'")
    tab.run("document.getElementById('why').click();")
    tab.wait("document.querySelector('#heat img')?.complete")
    places = [tab.run(f"return ({INSIDE})(document.querySelector('#{part} img'));") for part in ("photo", "heat")]
    for side in ("x", "y", "width", "height"):  # narrower than its box: the map has the photo's place, not the box's
        assert places[0][side] == pytest.approx(places[1][side], abs=1.5)
    before = {row.id for row in server.rows()}
    tab.run("document.getElementById('wrong').click(); document.querySelector('#choices input[value=blue]').click();")
    tab.wait("document.querySelector('#thanks .thanks')")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert (row.predicted_label, row.corrected_label, row.source) == ("red", "blue", "upload")
    tab.wait("document.querySelector('#mine summary').textContent.includes('(1)')")
