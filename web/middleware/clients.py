"""Who a client is: the address behind the proxies, and how much each client may hold at a time."""

import ipaddress
from collections import Counter
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope


def client_of(scope: Scope, *, trusted_proxies: int) -> str:
    """The address of the client behind a request."""
    peer = scope["client"][0] if scope.get("client") else "unknown"
    forwarded_for = Headers(scope=scope).getlist("X-Forwarded-For")
    return client_address(peer, forwarded_for, trusted_proxies=trusted_proxies)


def client_address(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str:
    """The address of the client behind `trusted_proxies` hops.

    Args:
        peer: The address that the connection comes from.
        forwarded_for: The values of `X-Forwarded-For`, each a comma-separated list, the client first. Whatever stands
            before the trusted hops is the client's own claim and is ignored.
        trusted_proxies: Number of trusted proxies in front of the app; 0 ignores the header.

    Returns:
        An IPv4 address, or the /64 network of an IPv6 address, since one person has all of it. A peer that is not an
        address (a Unix socket, a test client) is returned unchanged.
    """
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",") if hop.strip()]
    trusted = [*hops[-trusted_proxies:], peer] if trusted_proxies else [peer]
    return next((found for hop in trusted if (found := _grouped(hop))), peer)


def missing_hops(scope: Scope, *, trusted_proxies: int) -> str | None:
    """What is wrong if fewer proxies named their client than are trusted; None if nothing is."""
    named = ",".join(Headers(scope=scope).getlist("X-Forwarded-For")).split(",")
    found = sum(bool(hop.strip()) for hop in named)
    if found >= trusted_proxies:
        return None
    return (
        f"X-Forwarded-For names {found} clients, and CATDOG_TRUSTED_PROXIES is {trusted_proxies}: visitors share one "
        "rate limit. Let the proxy name them (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;)."
    )


class ClientQuota:
    """How many of something there may be at a time: of all clients together, and of each."""

    def __init__(self, *, most: int, most_of_a_client: int) -> None:
        """Start with none.

        Args:
            most: Of all clients together.
            most_of_a_client: Of each.
        """
        self._most = most
        self._most_of_a_client = most_of_a_client
        self._held = 0
        self._of_clients: Counter[str] = Counter()

    def take(self, client: str) -> bool:
        """Count one more, unless that exceeds a limit; returns whether it was counted."""
        if self._held >= self._most or self._of_clients[client] >= self._most_of_a_client:
            return False
        self._held += 1
        self._of_clients[client] += 1
        return True

    def give_back(self, client: str) -> None:
        """Count one less."""
        self._held -= 1
        self._of_clients[client] -= 1
        if not self._of_clients[client]:
            del self._of_clients[client]


def _grouped(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
