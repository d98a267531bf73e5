"""The app behind a real nginx, with the configuration that deploy/proxies ships and with lines of it missing."""

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
def nginx(folder: Path, site: str, *servers: Server) -> Iterator[int]:
    """nginx with a site on a free port, in front of servers."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        missing_tool("nginx is not installed")
    port = free_port()
    upstream = " ".join(f"server {each.url.removeprefix('http://')};" for each in servers)
    site = f"upstream replicas {{ {upstream} }}\n" + site.replace("127.0.0.1:7860", "replicas")
    folder.mkdir()
    site = re.sub(r"listen \d+( ssl)?;", rf"listen 127.0.0.1:{port}\1;", site)
    (folder / "nginx.conf").write_text(GENERAL.format(folder=folder, site=site))
    with (folder / "out").open("wb") as out:
        command = [program, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-p", str(folder)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for(lambda: process.poll() is not None or accepts(port), "nginx")
        assert process.poll() is None, (folder / "out").read_text()
        yield port
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


def test_behind_tls_the_page_knows_its_scheme(server: Server, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        missing_tool("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=localhost"
    subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
    tls = f"listen 80 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
    trusted = ssl.create_default_context(cafile=str(certificate))
    with nginx(tmp_path / "nginx", SHIPPED.replace("listen 80;", tls), server) as port:
        page = httpx.get(f"https://127.0.0.1:{port}/", verify=trusted, timeout=60).text
    root = re.search(r'"root": ?"([^"]*)"', page)
    assert root
    assert root[1] == f"https://127.0.0.1:{port}"


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
