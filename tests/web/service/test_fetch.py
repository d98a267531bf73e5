"""Real sockets on loopback; which addresses count as allowed is told to the fetcher."""

import asyncio
import io
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from catdog import __version__
from catdog.errors import CatdogError, ImageTooLargeError, UrlFailedError, UrlRefusedError
from tests.conftest import missing_tool
from web.service.fetch import ImageFetcher, IPAddress, resolve_host

REFUSED = "This address can't be reached, or isn't allowed. Check it, or save the picture and send the file."


class Site(BaseHTTPRequestHandler):
    """Answers by path; notes what it was asked."""

    seen: list[tuple[str, dict[str, str]]]
    release: threading.Event

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path.startswith("/to/"):
            self._answer(302, b"", Location=self.path.removeprefix("/to/"))
        else:
            answer = self._special().get(self.path, lambda: self._answer(200, b"bytes"))
            answer()

    def _special(self) -> dict[str, Callable[[], None]]:
        return {
            "/loop": lambda: self._answer(302, b"", Location="/loop"),
            "/cookie": lambda: self._answer(302, b"", Location="/picture", **{"Set-Cookie": "a=b"}),
            "/large": lambda: self._answer(200, b"x" * 2000),
            "/announced": lambda: self._start(200, **{"Content-Length": "999999999"}),
            "/endless": self._pour,
            "/gzip": lambda: self._answer(200, b"\x1f\x8b", **{"Content-Encoding": "gzip"}),
            "/slow": self._drip,
            "/silent": self._wait,
            "/missing": lambda: self._answer(404, b"no"),
        }

    def _start(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self._start(status, **{"Content-Length": str(len(body))}, **headers)
        self.wfile.write(body)

    def _wait(self) -> None:
        self.release.wait(20)

    def _drip(self) -> None:
        self._start(200, **{"Content-Length": "10"})
        self.wfile.flush()
        self._wait()

    def _pour(self) -> None:
        self._start(200, Connection="close")
        try:
            for _ in range(100_000):
                self.wfile.write(b"x" * 1000)
        except OSError:
            pass  # the client has had enough

    def log_message(self, *_: object) -> None:
        pass


class Loopback:
    def __init__(self, base: str, handler: type[Site]) -> None:
        self.base = base
        self._handler = handler

    @property
    def seen(self) -> list[tuple[str, dict[str, str]]]:
        return self._handler.seen


@contextmanager
def site(tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    handler = type("TheSite", (Site,), {"seen": [], "release": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Loopback(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", handler)
    finally:
        handler.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with site() as running:
        yield running


def this_host_only(address: IPAddress) -> bool:
    return str(address) == "127.0.0.1"


def fetch(url: str, **options: object) -> bytes:
    arguments = {"max_bytes": 1000, "is_allowed": this_host_only, "any_port": True, "total_timeout_s": 20.0} | options
    return fetched(ImageFetcher(**arguments), url)  # type: ignore[arg-type]


def fetched(fetcher: ImageFetcher, url: str) -> bytes:
    file = io.BytesIO()
    asyncio.run(fetcher.fetch(url, file))
    return file.getvalue()


def resolver(*answers: Sequence[str]) -> tuple[Callable[[str, int], object], list[str]]:
    """Answers in turn, and notes the names."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def test_the_bytes_at_an_address_come_back(loopback: Loopback) -> None:
    assert fetch(f"{loopback.base}/picture") == b"bytes"


def test_the_server_is_asked_for_the_name_and_without_compression(loopback: Loopback) -> None:
    resolve, _ = resolver(["127.0.0.1"])
    port = loopback.base.rpartition(":")[2]
    fetch(f"http://pictures.example:{port}/a?b=c", resolve=resolve, about_us="https://pets.example")
    path, headers = loopback.seen[0]
    assert path == "/a?b=c"
    assert headers["host"] == f"pictures.example:{port}"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == f"catdog/{__version__} (+https://pets.example; image classifier, for a visitor)"


def test_the_environment_cannot_send_a_fetch_through_a_proxy(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(f"{loopback.base}/picture") == b"bytes"


def test_three_redirects_are_followed(loopback: Loopback) -> None:
    assert fetch(f"{loopback.base}/to//to//to//picture") == b"bytes"
    assert len(loopback.seen) == 4


def test_a_fourth_redirect_fails(loopback: Loopback) -> None:
    with pytest.raises(UrlFailedError, match="redirects too often"):
        fetch(f"{loopback.base}/loop")
    assert len(loopback.seen) == 4


def test_cookies_are_not_sent_back(loopback: Loopback) -> None:
    fetch(f"{loopback.base}/cookie")
    assert "cookie" not in loopback.seen[1][1]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://[::1]/",
        "data:image/png;base64,AAAA",
        "mailto:me@catdog.example",
        "http:x",
        "https:",
        "http://",
        "http://[",
        "http://a:b:c/",
        "//",
        "javascript:alert(1)",
        "http://exa%20mple:99999999/",
    ],
)
def test_every_redirect_is_checked(loopback: Loopback, target: str) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        fetch(f"{loopback.base}/to/{target}")
    assert str(refused.value) == REFUSED
    assert len(loopback.seen) == 1


def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind(loopback: Loopback) -> None:
    resolve, asked = resolver(["127.0.0.1"], ["127.0.0.2"])
    port = loopback.base.rpartition(":")[2]
    assert fetch(f"http://rebinding.example:{port}/picture", resolve=resolve) == b"bytes"
    assert asked == ["rebinding.example"]


def test_one_private_address_among_several_is_enough_to_refuse(loopback: Loopback) -> None:
    resolve, _ = resolver(["127.0.0.1", "10.0.0.1"])
    port = loopback.base.rpartition(":")[2]
    with pytest.raises(UrlRefusedError):
        fetch(f"http://mixed.example:{port}/picture", resolve=resolve)
    assert loopback.seen == []


def test_a_second_address_is_tried_when_nobody_answers_at_the_first(loopback: Loopback) -> None:
    resolve, _ = resolver(["127.0.0.9", "127.0.0.1"])
    port = loopback.base.rpartition(":")[2]
    assert fetch(f"http://two.example:{port}/picture", resolve=resolve, is_allowed=lambda _: True) == b"bytes"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "//host/picture",
        "ftp://pictures.example/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://",
        "http:///picture",
        "http://user:secret@pictures.example/",
        "http://user@pictures.example/",
        "http://pictures.example:22/",
        "http://pictures.example:8080/",
        "http://pictures.example:99999/",
        "http://exa mple/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
        "http://xn--a.example/",
        "http://\x00/",
        "http://pictures.example/\r\nHost: evil",
        f"http://pictures.example/{'a' * 5000}",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1%25lo]/",
        "http://[fec0::1]/",
        "http://10.0.0.1/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://169.254.169.254/latest/meta-data/",
        "http://192.0.0.8/",
        "http://127。0。0。1/",
        "http://⑫⑦.0.0.1/",
        "http://does-not-exist.invalid/",
    ],
)
def test_what_is_no_public_address_is_refused_in_the_same_words(url: str) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        fetched(ImageFetcher(max_bytes=1000), url)
    assert str(refused.value) == REFUSED


@pytest.mark.parametrize("user", ["user:secret@", "user@", ":secret@"])
def test_user_information_is_refused_even_where_the_host_is_allowed(loopback: Loopback, user: str) -> None:
    with pytest.raises(UrlRefusedError):
        fetch(loopback.base.replace("//", f"//{user}") + "/picture")
    assert loopback.seen == []


def test_ports_but_80_and_443_are_refused_even_where_the_host_is_allowed(loopback: Loopback) -> None:
    with pytest.raises(UrlRefusedError):
        fetch(f"{loopback.base}/picture", any_port=False)
    assert loopback.seen == []


def test_an_address_where_nobody_listens_is_refused_in_the_same_words() -> None:
    with pytest.raises(UrlRefusedError) as refused:
        fetch("http://127.0.0.1:9/")
    assert str(refused.value) == REFUSED


def test_a_host_that_never_answers_is_refused_in_the_same_words(loopback: Loopback) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        fetch(f"{loopback.base}/silent", total_timeout_s=0.2)
    assert str(refused.value) == REFUSED


@pytest.mark.parametrize("path", ["/large", "/announced", "/endless"])
def test_more_bytes_than_allowed_are_given_up(loopback: Loopback, path: str) -> None:
    with pytest.raises(ImageTooLargeError, match=r"larger than 0\.001 MB"):
        fetch(loopback.base + path)


@pytest.mark.parametrize(("path", "reason"), [("/missing", "404"), ("/gzip", "compressed")])
def test_an_answer_that_is_no_success_fails_with_a_sentence(loopback: Loopback, path: str, reason: str) -> None:
    with pytest.raises(UrlFailedError, match=reason):
        fetch(loopback.base + path)


def test_an_answer_that_drips_too_slowly_fails(loopback: Loopback) -> None:
    with pytest.raises(UrlFailedError):
        fetch(f"{loopback.base}/slow", total_timeout_s=3)


def test_a_certificate_must_belong_to_the_name_in_the_address(tmp_path: Path) -> None:
    key, certificate = _self_signed(tmp_path, "pictures.example")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    names: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    resolve, _ = resolver(["127.0.0.1"])
    with site(serving) as loopback:
        port = loopback.base.rpartition(":")[2]
        assert fetch(f"https://pictures.example:{port}/picture", resolve=resolve, tls=trusting) == b"bytes"
        assert names == ["pictures.example"]
        with pytest.raises(CatdogError, match="can't be reached"):
            fetch(f"https://other.example:{port}/picture", resolve=resolve, tls=trusting)


def test_the_system_resolver_gives_each_address_once() -> None:
    assert asyncio.run(_resolve("127.0.0.1")) == ["127.0.0.1"]
    assert asyncio.run(_resolve("2130706433")) == ["127.0.0.1"]


async def _resolve(host: str) -> list[str]:
    return list(await resolve_host(host, 80))


def _self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    openssl = shutil.which("openssl") or missing_tool("no openssl to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate
