"""Which network addresses are public, and which belongs to a client."""

import ipaddress
from collections.abc import Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# These reach private machines or no machine at all, but `is_global` of some or all Python versions says yes to them.
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
    """Whether an address is one that anybody on the internet could reach, and no way round to another."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    return address.is_global and address in _GLOBAL_UNICAST_V6 and address not in _6TO4


def client_address(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str:
    """The address of the client behind `trusted_proxies` hops, as far as these are to be believed.

    Args:
        peer: The address that the connection comes from.
        forwarded_for: The values of `X-Forwarded-For`, each a list separated by commas, the client first. What
            stands before the trusted hops is the client's own claim and is ignored.
        trusted_proxies: How many hops to believe; 0 ignores the header.

    Returns:
        An IPv4 address, or the /64 network of an IPv6 address, since one person has all of it. A peer that is no
        address (a Unix socket, a test client) is returned as it is.
    """
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",") if hop.strip()]
    believed = [*hops[-trusted_proxies:], peer] if trusted_proxies else [peer]
    return next((found for hop in believed if (found := _grouped(hop))), peer)


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
