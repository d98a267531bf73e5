import ipaddress

import pytest

from web.middleware.clients import client_address
from web.service.fetch import is_public

PUBLIC = ("8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "2001:4860:4860::8888")
NOT_PUBLIC = {
    "this host": "0.0.0.0",
    "loopback": "127.0.0.1",
    "any loopback": "127.8.8.8",
    "10/8": "10.1.2.3",
    "172.16/12": "172.20.0.1",
    "192.168/16": "192.168.1.1",
    "link-local, cloud metadata": "169.254.169.254",
    "carrier-grade NAT": "100.64.0.1",
    "metadata in it": "100.100.100.200",
    "Azure's host": "168.63.129.16",
    "protocol assignments": "192.0.0.8",
    "6to4 relay": "192.88.99.1",
    "documentation": "203.0.113.7",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.251",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "mapped": "::ffff:127.0.0.1",
    "mapped public": "::ffff:8.8.8.8",
    "compatible": "::7f00:1",
    "NAT64": "64:ff9b::7f00:1",
    "local NAT64": "64:ff9b:1::7f00:1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:7f00:1::",
    "link-local v6": "fe80::1",
    "scoped": "fe80::1%eth0",
    "unique local": "fd00::1",
    "site-local": "fec0::1",
    "v6 documentation": "2001:db8::1",
    "v6 multicast": "ff02::1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_ordinary_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("kind", NOT_PUBLIC)
def test_special_addresses_are_not_public(kind: str) -> None:
    assert not is_public(ipaddress.ip_address(NOT_PUBLIC[kind]))


def test_forwarding_headers_are_ignored_unless_proxies_are_trusted() -> None:
    assert client_address("10.0.0.1", ["6.6.6.6"], trusted_proxies=0) == "10.0.0.1"


def test_with_one_trusted_proxy_the_address_that_it_saw_counts_and_no_claim_before_it() -> None:
    assert client_address("10.0.0.1", ["6.6.6.6, 1.2.3.4"], trusted_proxies=1) == "1.2.3.4"


def test_several_headers_are_one_list() -> None:
    assert client_address("10.0.0.1", ["6.6.6.6", "1.2.3.4", "5.5.5.5"], trusted_proxies=2) == "1.2.3.4"


@pytest.mark.parametrize("header", [[], [""], ["unknown"], ["<script>"]])
def test_without_a_usable_header_the_peer_counts(header: list[str]) -> None:
    assert client_address("10.0.0.1", header, trusted_proxies=1) == "10.0.0.1"


def test_one_person_has_a_whole_64_of_ipv6() -> None:
    first = client_address("2001:db8:1:2:3::4", [], trusted_proxies=0)
    assert first == client_address("2001:db8:1:2:ffff::1", [], trusted_proxies=0)
    assert first != client_address("2001:db8:1:3::1", [], trusted_proxies=0)


def test_an_ipv4_client_of_a_v6_socket_is_its_ipv4_address() -> None:
    assert client_address("::ffff:1.2.3.4", [], trusted_proxies=0) == "1.2.3.4"
