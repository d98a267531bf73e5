"""Behind a proxy: whatever it passes on, the app speaks of the address that visitors use."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from tests.conftest import missing_tool
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, running, wait_for
from web.middleware.public_url import PublicUrl

TOKEN = "a-token-of-the-maintainer"


def app(public_url: str) -> FastAPI:
    made = FastAPI()
    made.add_middleware(PublicUrl, public_url=public_url)

    @made.get("/where")
    def where(request: Request) -> dict[str, str]:
        return {"base": str(request.base_url), "path": request.scope["path"]}

    @made.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter("a"), media_type="text/event-stream")

    return made


@pytest.mark.parametrize("path", ["/where", "/catdog/where"], ids=["stripped", "not stripped"])
@pytest.mark.parametrize(
    "headers", [{}, {"Host": "127.0.0.1:7860"}, {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}]
)
def test_links_are_those_of_the_public_url(path: str, headers: dict[str, str]) -> None:
    client = TestClient(app("https://me.example:8443/catdog/"))
    assert client.get(path, headers=headers).json() == {"base": "https://me.example:8443/catdog/", "path": "/where"}


def test_without_a_public_url_a_request_stays_as_it_is() -> None:
    answer = TestClient(app("")).get("/where", headers={"Host": "a.example:1"})
    assert answer.json() == {"base": "http://a.example:1/", "path": "/where"}


def test_nginx_is_told_not_to_hold_streams_back() -> None:
    client = TestClient(app(""))
    assert client.get("/stream").headers["X-Accel-Buffering"] == "no"
    assert "X-Accel-Buffering" not in client.get("/where").headers


LOCATIONS = {
    "bare": ("/", "location / {{ proxy_pass {url}; }}"),
    "host without port": ("/", "location / {{ proxy_pass {url}; proxy_set_header Host $host; }}"),
    "sub-path": ("/catdog/", "location /catdog/ {{ proxy_pass {url}/; proxy_set_header Host $http_host; }}"),
    "sub-path, not stripped": ("/catdog/", "location /catdog/ {{ proxy_pass {url}; }}"),
}


@contextmanager
def nginx(folder: Path, port: int, location: str) -> Iterator[None]:
    program = shutil.which("nginx") or missing_tool("no nginx to put in front of the app")
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} "
        f"http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port}; {location} }} }}"
    )
    process = subprocess.Popen([program, "-c", configuration, "-e", f"{folder}/error.log"])
    try:
        wait_for(lambda: accepts(port) or process.poll() is not None, "nginx")
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("name", LOCATIONS)
def test_behind_nginx_page_api_docs_and_admin_work(tmp_path: Path, toy_folder: Path, name: str) -> None:
    if not shutil.which("nginx"):
        missing_tool("no nginx to put in front of the app")
    prefix, location = LOCATIONS[name]
    port = free_port()
    public = f"http://127.0.0.1:{port}{prefix}".rstrip("/")
    with running(tmp_path, toy_folder, public_url=public, admin_token=TOKEN) as server:
        (tmp_path / "nginx").mkdir()
        with nginx(tmp_path / "nginx", port, location.format(url=server.url)):
            use_everything(public, server)


def use_everything(public: str, server: Server) -> None:
    origin = {"Origin": re.sub(r"(//[^/]+).*", r"\1", public)}  # as a browser over plain http, without Sec-Fetch-Site
    with httpx.Client(timeout=DEADLINE_S, headers=origin) as http:
        page = http.get(f"{public}/").text
        roots = re.findall(r'"root":\s*"([^"]*)"', page)
        assert set(roots) == {public}, roots
        assert http.get(f"{public}/gradio_api/info").status_code == 200
        answer = http.post(f"{public}/predict", files={"file": encoded(picture("red"))}).json()
        assert answer["label"] == "red"
        saved = http.post(f"{public}/feedback", json={"request_id": answer["request_id"], "label": "blue"})
        assert saved.status_code == 201
        assert f"{public}/predict" in http.get(f"{public}/docs").text
        event = http.post(f"{public}/gradio_api/call/wrong_label", json={"data": [answer["request_id"], "green"]})
        with http.stream("GET", f"{public}/gradio_api/call/wrong_label/{event.json()['event_id']}") as stream:
            assert "event: complete" in stream.read().decode()
        entered = http.post(f"{public}/admin/login", data={"token": TOKEN, "name": "me"})
        assert entered.status_code == 303
        assert "Secure" not in entered.headers["Set-Cookie"]  # the public URL is plain http
        review = http.get(f"http://127.0.0.1:{httpx.URL(public).port}{entered.headers['Location']}")
        assert review.status_code == 200
        assert "catdog_admin" in http.cookies
        assert http.post(f"{public}/predict", headers={"Origin": "http://evil.example"}).status_code == 403
