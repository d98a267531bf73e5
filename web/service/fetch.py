"""Fetching an image by its URL, so that nobody can reach into this server's network with it."""

import asyncio
import html
import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO
from urllib.parse import urljoin, urlsplit

import httpx

from catdog import __version__
from catdog.errors import ImageTooLargeError, UrlError, UrlFailedError, UrlRefusedError
from web.service.download import (
    ConnectFailedError,
    DownloadError,
    LoopThread,
    Resolver,
    Response,
    TooLargeError,
    download,
    resolve_host,
)

MAX_REDIRECTS = 3
MAX_URL_LENGTH = 4096

_PORTS = (None, 80, 443)  # None is the scheme's own
_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_ERROR = 400
_REFUSED = "This address can't be reached, or isn't allowed. Check it, or save the picture and send the file."
_TOO_MANY_REDIRECTS = "This address redirects too often. Open the picture in your browser and copy its own address."
_COMPRESSED = "The server sent the picture compressed, although asked not to. Save the picture and send the file."
_HEADERS = {
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",  # so that no small response unpacks into a large one
}
_PAGE_BYTES = 200_000
_LONGEST_SUGGESTION = 500
_META = re.compile(r"<meta\s[^<>]{1,4000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(property|name|content)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_PICTURES = ("og:image", "og:image:secure_url", "og:image:url", "twitter:image")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# Private or unroutable, although `is_global` is true for them in some or all Python versions.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep their metadata service there
        "168.63.129.16/32",  # the host of every Azure machine
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
    )
)
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # leaves out mapped, compatible, NAT64, site-local, multicast
_6TO4 = ipaddress.IPv6Network("2002::/16")  # an IPv4 address of anyone's choice inside


def is_public(address: IPAddress) -> bool:
    """Whether an address is one that anybody on the internet could reach, and not a way round to another."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    return address.is_global and address in _GLOBAL_UNICAST_V6 and address not in _6TO4


class ImageFetcher:
    """Fetches image bytes from public web servers.

    Every host, of each redirect too, is resolved once; all its addresses must be public, and the connection goes to
    an address that was checked. Refusals share one text, so that nobody can scan a network by comparing responses.
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
            max_bytes: The download of a larger image is aborted.
            about_us: Web address that tells the operators of other servers who asks; empty if there is none.
            is_allowed: Which addresses may be connected to.
            any_port: For tests only; otherwise 80 and 443.
            resolve: Finds the addresses of a host.
            tls: Whom to trust; the certificate authorities of `certifi` if None.
            connect_timeout_s: For each connection.
            total_timeout_s: For everything, redirects included.
        """
        self._max_bytes = max_bytes
        where = f"+{about_us}; " if about_us else ""
        agent = f"catdog/{__version__} ({where}image classifier, for a visitor)"
        self._headers = {**_HEADERS, "User-Agent": agent}
        self._is_allowed = is_allowed
        self._any_port = any_port
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._connect_timeout_s = connect_timeout_s
        self._total_timeout_s = total_timeout_s
        self._thread = LoopThread("fetch")

    async def fetch(self, url: str, file: IO[bytes]) -> None:
        """Fetch what may be an image into a file; the decoder decides whether it is one.

        Raises:
            UrlRefusedError: the address is malformed, not public, or nobody answers there.
            UrlFailedError: a public host answered with an error, too slowly, or with too many redirects.
            ImageTooLargeError: the response has more than `max_bytes` bytes.
        """
        await self._thread.run(self._fetch(url, file))

    async def _fetch(self, url: str, file: IO[bytes]) -> None:
        progress = _Progress()
        try:
            async with asyncio.timeout(self._total_timeout_s):
                await self._follow(url, file, progress)
        except TimeoutError:
            raise progress.error("The server takes too long. Try again, or send the picture itself.") from None
        except TooLargeError:
            raise ImageTooLargeError(
                f"The file at this address is larger than {self._max_bytes / 1e6:.3g} MB. Send a smaller copy."
            ) from None
        except DownloadError:
            raise progress.error("The server stopped responding. Try again, or send the picture itself.") from None

    async def _follow(self, url: str, file: IO[bytes], progress: "_Progress") -> None:
        target = _parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._get(target, file, progress)
            if not _is_redirect(response):
                return
            target = _parse(response.headers["location"], base=target)
        raise UrlFailedError(_TOO_MANY_REDIRECTS)

    async def _get(self, url: httpx.URL, file: IO[bytes], progress: "_Progress") -> Response:
        """One hop: the body into the file, unless it is a redirect."""
        for address in await self._checked_addresses(url):
            try:
                return await download(
                    address,
                    url,
                    file,
                    headers={"Host": url.netloc.decode("ascii"), **self._headers},
                    tls=self._tls,
                    connect_timeout_s=self._connect_timeout_s,
                    max_bytes=self._max_bytes,
                    wants=partial(_wants, progress=progress),
                )
            except ConnectFailedError:
                continue
        raise UrlRefusedError(_REFUSED)

    async def _checked_addresses(self, url: httpx.URL) -> Sequence[str]:
        """All addresses of a URL's host, each of them public."""
        allowed_port = self._any_port or url.port in _PORTS
        if url.scheme not in ("http", "https") or not url.raw_host or url.userinfo or not allowed_port:
            raise UrlRefusedError(_REFUSED)
        try:
            addresses = list(await self._resolve(url.raw_host.decode("ascii"), url.port or 443))
        except (OSError, UnicodeError):
            raise UrlRefusedError(_REFUSED) from None
        if not addresses or not all(self._is_allowed(ipaddress.ip_address(address)) for address in addresses):
            raise UrlRefusedError(_REFUSED)
        return addresses


class _Progress:
    """Whether a public host has answered: before that, every failure is the same refusal."""

    answered = False

    def error(self, message: str) -> UrlError:
        return UrlFailedError(message) if self.answered else UrlRefusedError(_REFUSED)


def _wants(response: Response, *, progress: _Progress) -> bool:
    """Whether to read the body of a response.

    Raises:
        UrlFailedError: it is an error, or compressed.
    """
    progress.answered = True
    if _is_redirect(response):
        return False
    if response.status >= _FIRST_ERROR:
        raise UrlFailedError(
            f"The server responded with an error ({response.status}). Check the address in your browser."
        )
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise UrlFailedError(_COMPRESSED)
    return True


def _is_redirect(response: Response) -> bool:
    return response.status in _REDIRECTS and "location" in response.headers


def _parse(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Parse an address, or a redirect's target relative to the address that sent it.

    Raises:
        UrlRefusedError: it is not a valid address.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UrlRefusedError(_REFUSED)
    try:
        reference = httpx.URL(url.strip())
        if base and not reference.host and (reference.scheme or url.startswith("//")):
            raise UrlRefusedError(_REFUSED)  # such as `http:x`, which a browser would take for a path
        parsed = base.join(reference) if base else reference
        _ = parsed.host  # decodes the name, which may fail
        parsed.copy_with(host="127.0.0.1")  # fails for what has no host, such as mailto:
        _ = urlsplit(str(parsed)).port  # fails above 65535, of which httpx takes no notice
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UrlRefusedError(_REFUSED) from None
    return parsed


def not_a_picture(data: bytes, url: str) -> str:
    """What to tell the person whose address holds no picture; for a web page, also which picture it names.

    Nothing more is fetched: the suggestion is for the person, who may enter it.
    """
    if data.lstrip()[:1] != b"<":
        return "What is at this address can't be read as a picture. Try another address, or send the picture itself."
    if suggested := suggested_picture(data, url):
        return f"This address is a web page, not a picture. It names the picture {suggested} (og:image): try that one."
    return "This address is a web page, not a picture. Open the picture there and copy its own address."


def suggested_picture(data: bytes, url: str) -> str | None:
    """The picture that a web page names for previews of itself (Open Graph protocol, https://ogp.me), if it is usable.

    Returns:
        A full http or https address of printable ASCII, at most 500 characters long.
    """
    found: dict[str, str] = {}
    for meta in _META.findall(data[:_PAGE_BYTES].decode("utf-8", "replace")):
        given = {name.lower(): double or single for name, double, single in _ATTRIBUTE.findall(meta)}
        found.setdefault(given.get("property", given.get("name", "")).lower(), given.get("content", ""))
    named = next((found[name] for name in _PICTURES if found.get(name)), None)
    return _usable(html.unescape(named).strip(), url) if named else None


def _usable(named: str, url: str) -> str | None:
    try:
        address = urljoin(url, named)
        is_web = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        return None
    is_plain = address.isascii() and address.isprintable() and " " not in address
    return address if is_web and is_plain and len(address) <= _LONGEST_SUGGESTION else None
