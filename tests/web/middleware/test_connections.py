"""Clients that hold connections, over real sockets, with times so short that a test need not wait."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from tests.web.conftest import wait_for
from web.api.routes import unless_disconnected
from web.errors import ErrorResponses
from web.metrics.metrics import Metrics
from web.middleware.body_limit import BodyLimit
from web.middleware.connections import Connections, PunctualProtocol
from web.route_table import Body, Entry, RouteTable

GRACE_S = 0.3
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"


class Hasty(PunctualProtocol):
    headers_within_s = GRACE_S
    read_within_s = GRACE_S


class Patient(PunctualProtocol):
    """For tests of something else: a busy machine may pause between two lines of a test."""

    headers_within_s = 60.0


@contextmanager
def serving(app: ASGIApp, protocol: type[PunctualProtocol] = Hasty) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", log_config=None, timeout_keep_alive=60))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_for(lambda: server.started, "the server")
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def app_with_limit(most_at_once: int = 10, grace_s: float = GRACE_S) -> FastAPI:
    app, table = FastAPI(), RouteTable()
    table.include({("POST", "/echo"): Entry(body=Body.PICTURE)})
    errors = ErrorResponses(Metrics(), table)
    limits = {"max_bytes": 1_000_000, "grace_s": grace_s, "most_at_once": most_at_once}
    app.add_middleware(BodyLimit, errors=errors, table=table, trusted_proxies=0, **limits)
    errors.install(app)

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/large")
    def large() -> Response:
        return Response(bytes(50_000_000))

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(app_with_limit()) as number:
        yield number


@pytest.fixture(scope="module")
def patient_port() -> Iterator[int]:
    with serving(app_with_limit(), Patient) as number:
        yield number


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        yield client


def everything(client: socket.socket) -> bytes:
    """What the server still says until it closes the connection."""
    received = bytearray()
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return bytes(received)


@pytest.mark.parametrize("start", [b"", b"GET /large HT", b"GET /large HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_headers_that_never_end_close_the_connection(port: int, start: bytes) -> None:
    with connection(port) as client:
        client.sendall(start)
        assert everything(client) == b""


def test_headers_that_drip_do_not_win_time_with_each_byte(port: int) -> None:
    with connection(port) as client:
        client.settimeout(GRACE_S / 10)
        client.sendall(b"GET /large HTTP/1.1\r\nX-Slow: ")
        closed = False
        for _ in range(1000):
            try:
                client.sendall(b"a")
                closed = client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
            if closed:
                break
        assert closed


def test_what_follows_an_answer_is_timed_too(port: int) -> None:
    with connection(port) as client:
        client.sendall(POST.replace(b"1000", b"1") + b"x")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        client.sendall(b"\r\n")  # ends the idle time that a kept connection has, and begins no request
        assert everything(client) in (b"", b"x")


@pytest.mark.parametrize("start", [b"", b"half of it"])
def test_a_body_that_never_ends_is_answered_with_408(patient_port: int, start: bytes) -> None:
    with connection(patient_port) as client:
        client.sendall(POST + start)
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"error":"too_slow"' in answer


def test_a_body_that_comes_at_a_fair_rate_may_take_longer(patient_port: int) -> None:
    with connection(patient_port) as client:
        client.sendall(POST.replace(b"1000", b"200000"))
        for _ in range(20):
            client.sendall(bytes(10_000))
            threading.Event().wait(GRACE_S / 10)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_given_up(port: int) -> None:
    with connection(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        threading.Event().wait(GRACE_S * 5)
        assert len(everything(client)) < 50_000_000


def test_beyond_the_most_at_once_requests_are_refused_and_a_place_is_free_again_afterwards() -> None:
    with serving(app_with_limit(most_at_once=1, grace_s=60), Patient) as port:
        with connection(port) as first, connection(port) as second:
            first.sendall(POST)
            wait_for(lambda: b"503" in answer_to(port, POST.replace(b"1000", b"0")), "the first to take its place")
            second.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert second.recv(12) == b"HTTP/1.1 200"  # reading is not limited
        wait_for(lambda: answer_to(port, POST.replace(b"1000", b"0")).startswith(b"HTTP/1.1 200"), "a free place")


def answer_to(port: int, request: bytes) -> bytes:
    with connection(port) as client:
        client.sendall(request)
        answer = client.recv(65_536)
    assert b"503" not in answer or b"retry-after" in answer
    return answer


def test_work_for_a_client_that_leaves_is_given_up() -> None:
    app, begun, ended = FastAPI(), threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    @app.post("/echo")
    async def echo(request: Request) -> None:
        await request.body()
        await unless_disconnected(request, work())

    ErrorResponses(Metrics(), RouteTable()).install(app)
    with serving(app) as port:
        with connection(port) as client:
            client.sendall(POST + bytes(1000))
            assert begun.wait(60)
        assert ended.wait(60)


HEALTH, OTHER = (f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in ("health", "other"))


@contextmanager
def crowded(**bounds: int) -> Iterator[int]:
    """A server with few places for connections, whose silent ones stay."""

    class Crowded(PunctualProtocol):
        connections_open = Connections(**bounds)

    app = FastAPI()

    @app.get("/health")
    @app.get("/other")
    def answer() -> str:
        return "here"

    with serving(app, Crowded) as port:
        yield port


def said(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    return client.recv(65_536)


@pytest.mark.parametrize("bounds", [{"most": 3}, {"most": 100, "most_of_a_client": 3}])
def test_one_connection_too_many_hears_so_and_health_is_still_answered(bounds: dict[str, int]) -> None:
    with crowded(**bounds) as port, ExitStack() as open_:
        first, *_ = [open_.enter_context(connection(port)) for _ in range(3)]
        assert said(first, OTHER).startswith(b"HTTP/1.1 200")
        with connection(port) as fourth:
            refused = said(fourth, OTHER) + everything(fourth)
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 5" in refused
            assert b'"error":"busy"' in refused
        with connection(port) as fifth:
            assert said(fifth, HEALTH).startswith(b"HTTP/1.1 200")
        first.close()
        wait_for(lambda: b"200" in answer_to(port, OTHER)[:12], "the place of the first")


def test_silent_connections_beyond_the_bound_do_not_keep_the_health_check_out() -> None:
    with crowded(most=2, most_refused=3) as port, ExitStack() as open_:
        silent = [open_.enter_context(connection(port)) for _ in range(9)]
        assert everything(silent[2]) == b""  # the oldest beyond the bound
        assert said(silent[0], OTHER).startswith(b"HTTP/1.1 200")  # those within stay
        with connection(port) as check:
            assert said(check, HEALTH).startswith(b"HTTP/1.1 200")


class Silent:
    """A connection on which nothing happens."""

    def abort(self) -> None:
        pass


def test_the_addresses_of_one_ipv6_network_have_one_share_of_connections() -> None:
    connections, first = Connections(most_of_a_client=1), Silent()
    assert connections.opened(first, "2001:db8::1")
    assert not connections.opened(Silent(), "2001:db8::2")
    assert connections.opened(Silent(), "2001:db8:0:1::1")
    connections.closed(first)
    assert connections.opened(Silent(), "2001:db8::3")


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "one endless header": (b"GET /large HTTP/1.1\r\nHost: a\r\nX: ", b"x" * 50_000),
    "endless headers": (b"GET /large HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 9_000),
    "endless marks between chunks": (CHUNKED, b"1;" + b"x" * 50_000 + b"\r\nx\r\n"),
    "endless trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 9_000),
    "one endless trailer": (CHUNKED + b"0\r\nX: ", b"x" * 50_000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_what_is_neither_headers_of_a_usual_size_nor_body_ends_the_connection(port: int, name: str) -> None:
    start, more = FLOODS[name]
    with connection(port) as client:
        client.sendall(start)
        with pytest.raises(ConnectionError):
            client.sendall(more * 400)  # 20 MB: no buffer between the two takes it all


@pytest.mark.parametrize("size", [100, 65_536])
def test_a_body_in_chunks_is_no_flood(port: int, size: int) -> None:
    chunk = f"{size:x}\r\n".encode() + bytes(size) + b"\r\n"
    with connection(port) as client:
        client.sendall(CHUNKED + chunk * (200_000 // size) + b"0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
