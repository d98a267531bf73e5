"""Who is logged in to the maintainer's pages. Sessions live in memory: a restart ends them all."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from web.middleware.rate_limit import RateLimiter

LOGINS_PER_CLIENT = "10/minute"
_GUESSES = "guesses"
LIFETIME_S = 8 * 3600.0
_MOST = 100


@dataclass(frozen=True, slots=True)
class Session:
    """One login."""

    name: str
    """Who it is, as they say: recorded with each decision."""
    csrf: str
    """Every action must bring it: another website can make a browser send the cookie, but cannot read this."""
    expires_at: float
    """By the clock of the sessions."""


class Sessions:
    """Logins by what their cookie says. Any number of threads may use it."""

    def __init__(self, *, lifetime_s: float = LIFETIME_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.lifetime_s = lifetime_s
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}

    def start(self, name: str) -> str:
        """Log somebody in; the answer is the cookie's secret. Of more than a hundred logins the oldest end."""
        cookie = secrets.token_urlsafe(32)
        now = self._clock()
        session = Session(name, secrets.token_urlsafe(32), now + self.lifetime_s)
        with self._lock:
            kept = [item for item in self._sessions.items() if item[1].expires_at > now]
            self._sessions = dict([*kept, (_hash(cookie), session)][-_MOST:])
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The login behind a cookie, unless it is over."""
        session = self._sessions.get(_hash(cookie))
        return session if session and session.expires_at > self._clock() else None

    def end(self, cookie: str) -> None:
        """Log out."""
        with self._lock:
            self._sessions.pop(_hash(cookie), None)


class AdminToken:
    """The maintainer's token, for programs that send it with each request; wrong guesses are limited."""

    def __init__(self, token: str) -> None:
        """Nobody knows an empty token."""
        self._token = token
        self._limiter = RateLimiter({_GUESSES: LOGINS_PER_CLIENT})

    def is_in(self, authorization: str, client: str) -> bool:
        """Whether an `Authorization` header holds it. Clients that have guessed too often are not listened to."""
        scheme, _, given = authorization.partition(" ")
        if not self._token or scheme.lower() != "bearer" or self._limiter.is_used_up(_GUESSES, client):
            return False
        if same_secret(given.strip(), self._token):
            return True
        self._limiter.check(_GUESSES, client)
        return False


def same_secret(given: str, right: str) -> bool:
    """Compare in a time that tells nothing of the right one, not even its length."""
    return hmac.compare_digest(_hash(given), _hash(right))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
