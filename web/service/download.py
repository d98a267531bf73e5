"""One GET request to one checked address, with bounds on everything that a hostile server could stretch.

It runs on an event loop of its own, in a thread: parsing what a server sends must not hold up those who are waiting for
responses of this one.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import httpcore
import httpx

Result = TypeVar("Result")

_BESIDE_BODY_BYTES = 64_000
"""Of status lines, headers, interim responses and the marks between chunks."""
_GRACE_S = 2.0
_SLOWEST_BYTES_PER_S = 5_000
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    ssl.SSLError,
    OSError,
)
"""Everything that the client library raises, and what it lets through."""


class DownloadError(Exception):
    """The server closed the connection, broke the protocol, was too slow, or sent far more than a picture."""


class FileError(Exception):
    """The body could not be written; the cause is the only argument."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


class ConnectFailedError(DownloadError):
    """Nobody answers at this address."""


class TooLargeError(DownloadError):
    """The body is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Response:
    """Status and headers of a final response; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


async def download(  # noqa: PLR0913 - a request has these parts
    address: str,
    url: httpx.URL,
    file: IO[bytes],
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext,
    connect_timeout_s: float,
    max_bytes: int,
    wants: Callable[[Response], bool],
) -> Response:
    """Ask one address, under the URL's own name, and write the body into a file.

    Args:
        address: The checked IP address.
        url: What to ask for.
        file: Receives the body.
        headers: To send.
        tls: Whom to trust.
        connect_timeout_s: For connecting.
        max_bytes: Of the body.
        wants: Whether a response's body is to be read.

    Raises:
        ConnectFailedError: nobody answers there.
        TooLargeError: the body has more than `max_bytes` bytes.
        DownloadError: anything else went wrong there.
        OSError: the body could not be written here.
    """
    meter = _Meter()
    # A client of its own for each request keeps no cookies or connections, and knows no proxy.
    try:
        async with (
            httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=_Backend(meter)) as pool,
            pool.stream(
                "GET",
                str(url.copy_with(host=address)),
                headers=list(headers.items()),
                extensions={"timeout": {"connect": connect_timeout_s}, "sni_hostname": url.raw_host.decode("ascii")},
            ) as answer,
        ):
            response = Response(
                answer.status, {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in answer.headers}
            )
            if wants(response):
                await _read(response, answer.aiter_stream(), file, meter, max_bytes)
            return response
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise ConnectFailedError(str(error)) from None
    except _FAILURES as error:
        raise DownloadError(str(error)) from None
    except FileError as error:
        raise error.cause from None


async def _read(response: Response, chunks: Any, file: IO[bytes], meter: "_Meter", max_bytes: int) -> None:
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise TooLargeError
    async for chunk in chunks:
        meter.body += len(chunk)
        if meter.body > max_bytes:
            raise TooLargeError
        if file.closed:  # whoever asked has left
            raise DownloadError("nobody is waiting for it")
        try:
            file.write(chunk)
        except OSError as error:
            raise FileError(error) from None


class _Meter:
    """Counts the bytes of one connection, and ends it when they are too many or too slow."""

    def __init__(self) -> None:
        self.body = 0
        self._all = 0
        self._since: float | None = None

    def count(self, received: int) -> None:
        """Count what was received.

        Raises:
            ReadError: there was far more than the body, or it dripped.
        """
        now = time.monotonic()
        self._since = self._since or now
        self._all += received
        if self._all - self.body > _BESIDE_BODY_BYTES + self.body // 8 + _READ_BYTES:
            raise httpcore.ReadError("too much that is not the body")
        late_s = now - self._since - _GRACE_S
        if late_s > 0 and self._all < late_s * _SLOWEST_BYTES_PER_S:
            raise httpcore.ReadError("too slow")


_READ_BYTES = 65_536  # what one read may bring before any of it is counted as body


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects as httpcore does, with a meter on the stream."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address."""
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._meter)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, meter: _Meter) -> None:
        self._stream = stream
        self._meter = meter

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data = await self._stream.read(min(max_bytes, _READ_BYTES), timeout)
        self._meter.count(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._meter)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class LoopThread:
    """An event loop in a thread, for work whose processor time must not hold up the main one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there, and wait for it; cancelling the wait cancels it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._started()))

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
            return self._loop


Resolver = Callable[[str, int], Awaitable[Iterable[str]]]
"""From host name and port to all its addresses."""


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system's resolver, which also understands decimal, octal and hexadecimal addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
