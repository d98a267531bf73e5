"""Browser engines besides Chromium's, as a system's packages bring them; without, what needs one is skipped.

WebKit, Safari's engine, speaks the W3C's WebDriver (Debian: `webkit2gtk-driver` and `xvfb`); Firefox speaks WebDriver BiDi by
itself (Debian: `firefox-esr`).
"""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.web.conftest import DEADLINE_S, wait_for

POLL = "while (!(%s)) await new Promise((again) => setTimeout(again, 50)); return true;"


class Tab(ABC):
    """A tab of a browser."""

    @abstractmethod
    def run(self, code: str) -> Any:
        """Run the body of an async function on the page; returns what it returns, which JSON can hold."""

    @abstractmethod
    def open(self, url: str) -> None: ...

    @abstractmethod
    def choose(self, *paths: Path) -> None:
        """Choose photos."""

    @abstractmethod
    def screenshot(self) -> bytes:
        """What is seen, as a PNG."""

    def wait(self, condition: str) -> None:
        assert self.run(POLL % condition) is True

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)})?.textContent ?? '';"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click();")


class _WebKitTab(Tab):
    _ASYNC = "const done = arguments[arguments.length - 1]; (async () => { %s })().then(done, (e) => done(String(e)));"

    def __init__(self, http: httpx.Client, path: str) -> None:
        self._http, self._path = http, path

    def _send(self, path: str, **sent: Any) -> Any:
        response = self._http.post(f"{self._path}{path}", json=sent)
        assert response.is_success, response.text
        return response.json()["value"]

    def run(self, code: str) -> Any:
        return self._send("/execute/async", script=self._ASYNC % code, args=[])

    def open(self, url: str) -> None:
        self._send("/timeouts", script=1000 * DEADLINE_S, pageLoad=1000 * DEADLINE_S)
        self._send("/url", url=url)

    def choose(self, *paths: Path) -> None:
        (element,) = self._send("/element", using="css selector", value="#photo input").values()
        self._send(f"/element/{element}/value", text="\n".join(map(str, paths)))

    def screenshot(self) -> bytes:
        response = self._http.get(f"{self._path}/screenshot")
        return base64.b64decode(response.json()["value"])


class _FirefoxTab(Tab):
    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._sent = connection, 0
        self._send("session.new", capabilities={})
        self._context = self._send("browsingContext.create", type="tab")["context"]

    def _send(self, method: str, **params: Any) -> Any:
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        while True:
            said = json.loads(self._connection.recv(timeout=DEADLINE_S))
            if said.get("id") == self._sent:
                assert said["type"] == "success", said
                return said["result"]

    def _evaluate(self, expression: str) -> Any:
        said = self._send(
            "script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True
        )
        assert said["type"] == "success", said
        return said["result"]

    def run(self, code: str) -> Any:
        text = self._evaluate(f"(async () => {{ {code} }})().then((value) => JSON.stringify(value ?? null))")["value"]
        return json.loads(text)

    def open(self, url: str) -> None:
        self._send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def choose(self, *paths: Path) -> None:
        element = self._evaluate("document.querySelector('#photo input')")
        files = [str(path) for path in paths]
        self._send("input.setFiles", context=self._context, element={"sharedId": element["sharedId"]}, files=files)

    def screenshot(self) -> bytes:
        return base64.b64decode(self._send("browsingContext.captureScreenshot", context=self._context)["data"])


def _program(*names: str) -> str:
    found = next((path for path in map(shutil.which, names) if path), None)
    return found or pytest.skip(f"no {names[0]}")


@contextmanager
def _process(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, **{"stderr": subprocess.DEVNULL, **options})
    try:
        yield started
    finally:
        started.terminate()
        started.wait(DEADLINE_S)


@contextmanager
def webkit(_folder: Path) -> Iterator[Tab]:
    """A tab of WebKit, on a screen of its own."""
    driver, screen = _program("WebKitWebDriver"), _program("Xvfb")
    mini = next(Path("/usr").glob("lib*/**/webkit2gtk-*/MiniBrowser"), None) or pytest.skip("no MiniBrowser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    read, write = os.pipe()
    with _process(screen, "-displayfd", str(write), "-screen", "0", "1280x1000x24", pass_fds=[write]):
        os.close(write)
        with os.fdopen(read) as number:
            display = f":{number.readline().strip()}"
        environment = {**os.environ, "DISPLAY": display, "WEBKIT_DISABLE_DMABUF_RENDERER": "1"}
        with (
            _process(driver, f"--port={port}", env=environment) as running_driver,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as http,
        ):
            wait_for(lambda: running_driver.poll() is not None or _is_up(http), "the driver")
            options = {"webkitgtk:browserOptions": {"binary": str(mini), "args": ["--automation"]}}
            made = http.post("/session", json={"capabilities": {"alwaysMatch": options}}).json()["value"]
            path = f"/session/{made['sessionId']}"
            yield _WebKitTab(http, path)
            http.delete(path)


def _is_up(http: httpx.Client) -> bool:
    try:
        return http.get("/status").is_success
    except httpx.TransportError:
        return False


@contextmanager
def firefox(folder: Path) -> Iterator[Tab]:
    """A tab of Firefox with a profile of its own."""
    program, log, profile = _program("firefox", "firefox-esr"), folder / "firefox.log", folder / "profile"
    profile.mkdir()
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    environment = {**os.environ, "HOME": str(folder)}
    with log.open("wb") as out, _process(*command, stdout=out, stderr=out, env=environment) as process:
        wait_for(lambda: process.poll() is not None or b"BiDi listening on" in log.read_bytes(), "Firefox")
        found = re.search(r"BiDi listening on (ws://\S+)", log.read_text(errors="replace"))
        if found is None:
            pytest.skip(f"Firefox does not start here: {log.read_text(errors='replace')[-300:]}")
        with connect(f"{found[1]}/session", max_size=None, open_timeout=DEADLINE_S, proxy=None) as connection:
            yield _FirefoxTab(connection)
