"""A running service, asked as its clients ask it: over HTTP."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from httpx import codes

from catdog.errors import ServiceError, SettingsError

log = logging.getLogger(__name__)

_TIMEOUT_S = 60.0
_PAUSE_S = 1.0
_MAX_PAUSE_S = 60.0
_ATTEMPTS = 8
_LAST_PORT = 65535
_TRY_AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, and its JSON object, which is empty if there is none."""

    status: int
    body: Mapping[str, Any]

    @property
    def said(self) -> str:
        """Status, error code and sentence, for messages."""
        detail = f" ({self.body['error']}: {self.body.get('detail')})" if "error" in self.body else ""
        return f"{self.status}{detail}"


class Service:
    """A service at an address. Every method may raise `ServiceError` if nothing answers there."""

    def __init__(self, url: str, *, token: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: Where the service is, `https://...`; a path is kept.
            token: What a private Space asks for. It is sent with every request.
            sleep: Waits so many seconds between attempts.

        Raises:
            SettingsError: this is not an HTTP address.
        """
        if not _is_address(url):
            raise SettingsError(f"{url} is not an address of a service. Give it as http://HOST:PORT or https://HOST.")
        self.url = url.rstrip("/")
        self._sleep = sleep
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Cookies are kept: an ingress may tie a client to one replica by them.
        self._http = httpx.Client(timeout=_TIMEOUT_S, headers=headers, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def wait_until_healthy(self, *, deadline_s: float) -> Reply:
        """Ask `GET /health` until it answers 200.

        Raises:
            ServiceError: it did not within `deadline_s` seconds; the message tells the last answer.
        """
        end, waits = time.monotonic() + deadline_s, False
        while True:
            left_s = max(end - time.monotonic(), _PAUSE_S)
            try:
                last = self.ask("GET", "/health", timeout=min(left_s, _TIMEOUT_S))
                if last.status == codes.OK and last.body.get("status") == "ok":
                    return last
                said = last.said
            except ServiceError as error:
                said = str(error)
            if time.monotonic() >= end:
                raise ServiceError(f"{self.url}/health was not ok within {deadline_s:.0f} s; the last answer: {said}")
            if not waits:
                log.info("%s/health is asked again for %.0f s at most; the first answer: %s", self.url, left_s, said)
                waits = True
            self._sleep(_PAUSE_S)

    def predict(self, picture: bytes, *, name: str = "picture") -> Reply:
        """`POST /predict` with a picture; where the service asks to wait, as it does under load, it is asked again."""
        files = {"file": (name, picture, "application/octet-stream")}
        for attempt in range(_ATTEMPTS):
            response = self._send("POST", "/predict", files=files)
            if response.status_code not in _TRY_AGAIN:
                break
            self._sleep(_wait_s(response, attempt))
        return _reply(response)

    def correct(self, request_id: str, label: str, *, picture: bytes) -> Reply:
        """`POST /feedback`; where another replica answers, which knows no such request, the picture is sent again."""
        reply = self.ask("POST", "/feedback", json={"request_id": request_id, "label": label})
        if reply.status != codes.NOT_FOUND:
            return reply
        return _reply(self._send("POST", "/feedback", files={"file": ("picture", picture)}, data={"label": label}))

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Send one request and read the JSON of the answer."""
        return _reply(self._send(method, path, **options))

    def text(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        response = self._send("GET", path)
        return response.status_code, response.text

    @property
    def origin(self) -> str:
        """What a browser sends as the origin of the page's requests."""
        address = httpx.URL(self.url)
        return f"{address.scheme}://{address.netloc.decode()}"

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request; the answer as it came, which may be a proxy's."""
        return self._send(method, path, **options)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, f"{self.url}{path}", **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(
                f"Nothing answers at {self.url}{path} ({type(error).__name__}). Check the address, and that it runs."
            ) from None


def _is_address(url: str) -> bool:
    try:
        address = httpx.URL(url)
        address.host.encode("idna")  # as a connection would
    except (httpx.InvalidURL, UnicodeError):
        return False
    is_complete = address.scheme in ("http", "https") and address.host and " " not in url
    return bool(is_complete) and 0 <= (address.port or 0) <= _LAST_PORT


def _reply(response: httpx.Response) -> Reply:
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = {}
    return Reply(response.status_code, body if isinstance(body, dict) else {})


def _wait_s(response: httpx.Response, attempt: int) -> float:
    """What the service asks for, else twice as long each time."""
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else _PAUSE_S * 2**attempt, _MAX_PAUSE_S)
