"""`python -m deploy smoke` against the running app, and against services that are not what they should be."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from catdog.cli import run
from deploy.__main__ import main
from tests.toy import encoded, picture
from tests.web.conftest import Server


def smoke(url: str, *arguments: str) -> int:
    return run(main, ["smoke", url, "--timeout", "10", *arguments])


def test_a_service_that_works_passes_and_keeps_nothing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(server.rows())
    assert smoke(server.url) == 0
    told = capsys.readouterr().out
    for words in ("health: toy at local-", "prediction: ", "saved, and taken back", "predictions made"):
        assert words in told
    assert len(server.rows()) == before


def test_a_picture_must_get_its_label(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "red.png").write_bytes(encoded(picture("red"), "PNG"))
    image = ["--image", str(tmp_path / "red.png")]
    assert smoke(server.url, *image, "--label", "red") == 0
    assert smoke(server.url, *image, "--label", "blue") == 1
    assert "/predict says red, not blue" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--model", "me/pets"], ["--revision", "0" * 40]])
def test_another_model_than_the_expected_fails(
    arguments: list[str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke(server.url, *arguments) == 1
    assert arguments[1] in capsys.readouterr().err


MALFORMED = (
    "nowhere", "http://", "https:///x", "http://:80", "http://host:port", "http://host:99999", "http://host:-1",
    "http://[::1", "http://a b", "http://ü..x", "http://..", "http://" + "x" * 300,
)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(([url], "is not an address") for url in MALFORMED),
        (["http://127.0.0.1:9", "--label", "cat"], "give both"),
        (["http://127.0.0.1:9", "--private"], "HF_TOKEN"),
        (["http://127.0.0.1:9", "--image", "missing.jpg"], "missing.jpg cannot be read"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, ["smoke", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_where_nothing_answers_it_says_so_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["smoke", "http://127.0.0.1:9", "--timeout", "0"]) == 1
    assert "Nothing answers" in capsys.readouterr().err


def test_that_it_waits_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert smoke("http://127.0.0.1:9", "--timeout", "1") == 1
    assert caplog.text.count("http://127.0.0.1:9/health is asked again for 1 s at most") == 1


def test_what_takes_connections_and_never_answers_is_given_up_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert smoke(f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "1") == 1
    assert "was not ok within 1 s" in capsys.readouterr().err


Answer = Callable[[httpx.Response], tuple[int, Any]]


@contextmanager
def spoiled(server: Server, method: str, path: str, answer: Answer) -> Iterator[str]:
    """The app behind a proxy that changes the answer of one route."""

    class Proxy(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {
                key: value for key, value in self.headers.items() if key.lower() not in ("host", "content-length")
            }
            reply = httpx.request(self.command, server.url + self.path, content=body, headers=headers, timeout=60)
            status, content = reply.status_code, reply.content
            if self.command == method and self.path.startswith(path):
                status, changed = answer(reply)
                content = json.dumps(changed).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _pass  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("method", "path", "answer", "words"),
    [
        ("GET", "/health", lambda r: (200, {**r.json(), "origin": "embedded"}), "stands in for one"),
        ("GET", "/health", lambda _: (503, {"error": "no_model", "detail": "Not yet."}), "no_model"),
        ("POST", "/predict", lambda _: (500, {"error": "internal_error", "detail": "Oops."}), "Oops."),
        ("POST", "/predict", lambda r: (200, {**r.json(), "probabilities": {"red": 1.0}}), "knows the labels"),
        ("POST", "/predict", lambda r: (200, {**r.json(), "probabilities": dict.fromkeys(r.json()["probabilities"], 1)}), "add up to"),
        ("POST", "/feedback", lambda _: (503, {"error": "feedback_failed", "detail": "Disk full."}), "Disk full."),
        ("POST", "/feedback", lambda r: (200, {**r.json()}), "instead of keeping a new answer"),
        ("DELETE", "/feedback", lambda _: (500, {}), "did not take the answer back"),
        ("GET", "/metrics", lambda _: (404, {}), "/metrics answered 404"),
    ],
)  # fmt: skip
def test_a_service_that_errs_in_one_thing_fails(  # noqa: PLR0913, PLR0917
    method: str, path: str, answer: Answer, words: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with spoiled(server, method, path, answer) as url:
        assert smoke(url) == 1
    assert words in capsys.readouterr().err
