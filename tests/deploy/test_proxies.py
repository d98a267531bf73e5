"""The app behind a real nginx, with the configuration that deploy/proxies ships and with lines of it missing."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from catdog.errors import ServiceError
from deploy.check.client import Service
from deploy.check.smoke import Expected, check_proxy, smoke
from tests.conftest import ROOT, missing_tool
from tests.deploy.conftest import DEADLINE_S
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import Server, running, wait_for

SHIPPED = (ROOT / "deploy/proxies/nginx.conf").read_text()
CADDY = (ROOT / "deploy/proxies/Caddyfile").read_text()
BELOW_A_PATH = (ROOT / "deploy/proxies/nginx-subpath.conf").read_text()
GENERAL = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  access_log off; client_body_buffer_size 30m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {site}
}}
"""


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def nginx(folder: Path, site: str, *servers: Server, port: int = 0) -> Iterator[int]:
    """nginx with a site in front of servers, on a free port if none is given."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        missing_tool("nginx is not installed")
    port = port or free_port()
    upstream = " ".join(f"server {each.url.removeprefix('http://')};" for each in servers)
    site = f"upstream replicas {{ {upstream} }}\n" + site.replace("127.0.0.1:7860", "replicas")
    folder.mkdir()
    site = re.sub(r"listen \d+( ssl)?;", rf"listen 127.0.0.1:{port}\1;", site)
    (folder / "nginx.conf").write_text(GENERAL.format(folder=folder, site=site))
    command = [program, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-p", str(folder)]
    with listening(folder, command, port):
        yield port


@contextmanager
def caddy(folder: Path, server: Server) -> Iterator[int]:
    """Caddy with the shipped file, over plain HTTP, on a free port."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("Caddy is not installed")
    folder.mkdir()
    port = free_port()
    site = CADDY.replace("catdog.example.com", f"http://127.0.0.1:{port}")
    site = site.replace("127.0.0.1:7860", server.url.removeprefix("http://"))
    (folder / "Caddyfile").write_text(f"{{\n admin off\n}}\n{site}")
    command = [program, "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]
    with listening(folder, command, port, XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder)):
        yield port


@contextmanager
def listening(folder: Path, command: list[str], port: int, **env: str) -> Iterator[None]:
    """A proxy's process, from when it accepts connections."""
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **env})
    try:
        wait_for(lambda: process.poll() is not None or accepts(port), command[0])
        assert process.poll() is None, (folder / "out").read_text()
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def accepts(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def without(line: str) -> str:
    assert line in SHIPPED
    return "\n".join(each for each in SHIPPED.splitlines() if line not in each)


def test_the_shipped_file_passes_the_smoke_test(server: Server, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", SHIPPED, server) as port, Service(f"http://127.0.0.1:{port}") as service:
        done = smoke(service, Expected(fallback=True), deadline_s=DEADLINE_S)
    assert any(line.startswith("proxy:") for line in done)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("proxy_set_header Host", "proxy_set_header Host $http_host;"),
        ("client_max_body_size", "client_max_body_size 25m;"),
    ],
)
def test_the_smoke_test_names_the_line_that_is_missing(line: str, advice: str, server: Server, tmp_path: Path) -> None:
    with (
        nginx(tmp_path / "nginx", without(line), server) as port,
        Service(f"http://127.0.0.1:{port}") as service,
        pytest.raises(ServiceError, match=re.escape(advice)),
    ):
        check_proxy(service)


def test_a_host_without_its_port_is_named(server: Server, tmp_path: Path) -> None:
    site = SHIPPED.replace("$http_host", "$host")
    with (
        nginx(tmp_path / "nginx", site, server) as port,
        Service(f"http://127.0.0.1:{port}") as service,
        pytest.raises(ServiceError, match="Host"),
    ):
        check_proxy(service)


def test_a_proxy_that_does_not_name_its_clients_is_found(tmp_path: Path) -> None:
    with (
        running(tmp_path, toy_model(tmp_path / "toy"), trusted_proxies=1) as server,
        nginx(tmp_path / "nginx", without("X-Forwarded-For"), server) as port,
        Service(f"http://127.0.0.1:{port}") as service,
        Service(server.url) as past_the_proxy,
    ):
        with pytest.raises(ServiceError, match=r"proxy_set_header X-Forwarded-For"):
            check_proxy(service)
        check_proxy(past_the_proxy)


def test_caddys_file_passes_the_smoke_test(tmp_path: Path) -> None:
    with (
        running(tmp_path, toy_model(tmp_path / "toy"), trusted_proxies=1) as server,
        caddy(tmp_path / "caddy", server) as port,
        Service(f"http://127.0.0.1:{port}") as service,
    ):
        done = smoke(service, Expected(fallback=True), deadline_s=DEADLINE_S)
    assert any(line.startswith("proxy:") for line in done)


def with_tls(site: str, folder: Path) -> tuple[str, ssl.SSLContext]:
    """A site with a certificate of its own, and who trusts it."""
    if not shutil.which("openssl"):
        missing_tool("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=localhost"
    subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
    tls = f"listen 80 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
    return site.replace("listen 80;", tls), ssl.create_default_context(cafile=str(certificate))


def root_of(page: str) -> str:
    """What the page takes for its own address."""
    found = re.search(r'"root": ?"([^"]*)"', page)
    assert found
    return found[1]


def test_behind_tls_the_page_knows_its_scheme(server: Server, tmp_path: Path) -> None:
    site, trusted = with_tls(SHIPPED, tmp_path)
    with nginx(tmp_path / "nginx", site, server) as port:
        page = httpx.get(f"https://127.0.0.1:{port}/", verify=trusted, timeout=60).text
    assert root_of(page) == f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("site", [BELOW_A_PATH, BELOW_A_PATH.replace("7860/;", "7860;")], ids=["stripped", "kept"])
def test_below_a_path_the_shipped_file_passes_the_smoke_test(
    site: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/catdog"
    with (
        running(
            tmp_path_factory.mktemp("below"), toy_model(tmp_path / "toy"), public_url=url, trusted_proxies=1
        ) as server,
        nginx(tmp_path / "nginx", site, server, port=port),
        Service(url) as service,
    ):
        done = smoke(service, Expected(fallback=True), deadline_s=DEADLINE_S)
    assert any(line.startswith("proxy:") for line in done)


def test_below_a_path_and_behind_tls_page_links_and_cookies_are_those_of_the_public_url(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site, trusted = with_tls(BELOW_A_PATH, tmp_path)
    port, token = free_port(), "a-token-of-the-maintainer"
    url = f"https://127.0.0.1:{port}/catdog"
    settings = {"public_url": url, "trusted_proxies": 1, "admin_token": token}
    with (
        running(tmp_path_factory.mktemp("below"), toy_model(tmp_path / "toy"), **settings) as server,
        nginx(tmp_path / "nginx", site, server, port=port),
        httpx.Client(verify=trusted, timeout=60, headers={"Origin": f"https://127.0.0.1:{port}"}) as http,
    ):
        assert root_of(http.get(f"{url}/").text) == url
        assert f"{url}/predict" in http.get(f"{url}/docs").text
        assert http.post(f"{url}/predict", files={"file": encoded(picture("red"))}).is_success
        entered = http.post(f"{url}/admin/login", data={"token": token, "name": "me"})
    assert entered.status_code == 303
    assert entered.headers["Location"].startswith("/catdog/admin")
    assert "Secure" in entered.headers["Set-Cookie"]
    assert "Path=/catdog/admin" in entered.headers["Set-Cookie"]


def test_two_replicas_without_affinity_answer_every_step_of_a_correction(
    server: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_folder = tmp_path_factory.mktemp("replica")
    photo = encoded(picture("red"))
    with (
        running(other_folder, toy_model(other_folder / "toy"), rate_limit="100000/minute") as other,
        nginx(tmp_path / "nginx", SHIPPED, server, other) as port,
        Service(f"http://127.0.0.1:{port}") as service,
    ):
        for _ in range(4):
            predicted = service.predict(photo)
            assert predicted.status == 200
            corrected = service.correct(str(predicted.body["request_id"]), "green", picture=photo)
            assert corrected.status in (200, 201, 202), corrected
