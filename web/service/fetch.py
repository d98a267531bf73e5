"""An image by its URL, fetched so that nobody can reach into this server's network with it."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import IO

import httpx

from catdog import PROJECT_URL, __version__
from catdog.errors import ImageTooLargeError, UrlError, UrlFailedError, UrlRefusedError
from web.middleware.clients import IPAddress, is_public

MAX_REDIRECTS = 3
MAX_URL_LENGTH = 4096

_PORTS = (None, 80, 443)  # None is the scheme's own
_REFUSED = "This address cannot be reached from here, or may not be. Check it, or save the picture and send the file."
_TOO_MANY_REDIRECTS = "The address leads on too many times. Open the picture in the browser and copy its own address."
_HEADERS = {
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",  # so that no small answer unpacks into a large one
}

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host name and port to all its addresses."""


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, which also understands decimal, octal and hexadecimal addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class ImageFetcher:
    """Fetches image bytes from public web servers.

    Every host, of each redirect too, is resolved once; all its addresses must be public, and the connection goes to
    an address that was checked. Refusals share one text, so that nobody can scan a network by comparing answers.
    """

    def __init__(  # noqa: PLR0913 - all but the first have the values that a server wants
        self,
        *,
        max_bytes: int,
        about_us: str = "",
        is_allowed: Callable[[IPAddress], bool] = is_public,
        any_port: bool = False,
        resolve: Resolver = resolve_host,
        tls: ssl.SSLContext | None = None,
        connect_timeout_s: float = 5.0,
        total_timeout_s: float = 10.0,
    ) -> None:
        """Make a fetcher.

        Args:
            max_bytes: Larger images are given up while they stream in.
            about_us: This service's web address, by which the servers that are asked find whom to ask back.
            is_allowed: Which addresses may be connected to.
            any_port: For tests only; otherwise 80 and 443.
            resolve: Finds the addresses of a host.
            tls: Whom to trust; the certificate authorities of `certifi` if None.
            connect_timeout_s: For each connection.
            total_timeout_s: For everything, redirects included.
        """
        self._max_bytes = max_bytes
        service = f" of {about_us}" if about_us else ""
        agent = f"catdog/{__version__} (+{PROJECT_URL}; image classifier, for a visitor{service})"
        self._headers = {**_HEADERS, "User-Agent": agent}
        self._is_allowed = is_allowed
        self._any_port = any_port
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._timeout = httpx.Timeout(total_timeout_s, connect=connect_timeout_s)
        self._total_timeout_s = total_timeout_s

    async def fetch(self, url: str, file: IO[bytes]) -> None:
        """Fetch what may be an image into a file; the decoder will tell.

        Raises:
            UrlRefusedError: the address is malformed, not public, or nobody answers there.
            UrlFailedError: a public host answered with an error, too slowly, or with too many redirects.
            ImageTooLargeError: the answer has more than `max_bytes` bytes.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(self._total_timeout_s):
                await self._follow(url, file, progress)
        except TimeoutError:
            raise progress.error("The address takes too long. Try again, or send the picture itself.") from None

    async def _follow(self, url: str, file: IO[bytes], progress: "_Progress") -> None:
        target = _parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            following = await self._get(target, file, progress)
            if following is None:
                return
            target = following
        raise UrlFailedError(_TOO_MANY_REDIRECTS)

    async def _get(self, url: httpx.URL, file: IO[bytes], progress: "_Progress") -> httpx.URL | None:
        """One hop: the body into the file, or the next address."""
        addresses = await self._checked_addresses(url)
        try:
            for address in addresses:
                with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return await self._get_from(address, url, file, progress)
        except httpx.HTTPError:
            raise progress.error("The address stopped answering. Try again, or send the picture itself.") from None
        raise UrlRefusedError(_REFUSED)

    async def _checked_addresses(self, url: httpx.URL) -> Sequence[str]:
        """All addresses of a URL's host, each of them public."""
        allowed_port = self._any_port or url.port in _PORTS
        if url.scheme not in ("http", "https") or not url.raw_host or url.userinfo or not allowed_port:
            raise UrlRefusedError(_REFUSED)
        try:
            addresses = await self._resolve(url.raw_host.decode("ascii"), url.port or 443)
        except (OSError, UnicodeError):
            raise UrlRefusedError(_REFUSED) from None
        if not addresses or not all(self._is_allowed(ipaddress.ip_address(address)) for address in addresses):
            raise UrlRefusedError(_REFUSED)
        return addresses

    async def _get_from(self, address: str, url: httpx.URL, file: IO[bytes], progress: "_Progress") -> httpx.URL | None:
        """Ask one checked address, under the URL's own name. A client of its own keeps no cookies or connections."""
        headers = {**self._headers, "Host": url.netloc.decode("ascii")}
        extensions = {"sni_hostname": url.raw_host.decode("ascii")}
        async with (
            httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=self._timeout) as client,
            client.stream("GET", url.copy_with(host=address), headers=headers, extensions=extensions) as response,
        ):
            progress.answered = True
            if response.has_redirect_location:
                return _parse(response.headers["Location"], base=url)
            if response.is_error or response.headers.get("Content-Encoding", "identity") != "identity":
                raise UrlFailedError(
                    f"The address answered with an error ({response.status_code}). Check it in your browser."
                )
            await self._read(response, file)
            return None

    async def _read(self, response: httpx.Response, file: IO[bytes]) -> None:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise self._too_large()
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            file.write(chunk)

    def _too_large(self) -> ImageTooLargeError:
        return ImageTooLargeError(
            f"What is at this address has more than {self._max_bytes / 1e6:.3g} MB. Send a smaller copy of the picture."
        )


class _Progress:
    """Whether a public host has answered: before that, every failure is the same refusal."""

    answered = False

    def error(self, message: str) -> UrlError:
        return UrlFailedError(message) if self.answered else UrlRefusedError(_REFUSED)


def _parse(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Parse an address, or a redirect's target relative to the address that sent it."""
    if len(url) > MAX_URL_LENGTH:
        raise UrlRefusedError(_REFUSED)
    try:
        parsed = base.join(url) if base else httpx.URL(url.strip())
        _ = parsed.host  # decodes the name, which may fail
    except (httpx.InvalidURL, UnicodeError):
        raise UrlRefusedError(_REFUSED) from None
    return parsed
