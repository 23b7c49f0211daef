"""Which addresses may be connected to when somebody else chose the host."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.http._download import AddressGuard, AddressInfo, is_public

PRIVATE_V4 = [
    "0.0.0.0",  # noqa: S104  nothing is bound to it
    "0.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
PUBLIC_V4 = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255"]
PRIVATE_V6 = [
    "::",
    "::1",
    "100::1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC_V6 = ["2400:3200::1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "2001:4860:4860::8888"]


def embedded(address: str) -> list[str]:
    """Return *address* in every IPv6 form that holds an IPv4 address."""
    number = int(ipaddress.IPv4Address(address))
    forms = [number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80 | 1]
    return [str(ipaddress.IPv6Address(form)) for form in forms]


def info(address: str) -> AddressInfo:
    """Return *address* as a resolver would."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    rest: tuple[int, ...] = (443, 0, 0) if ":" in address else (443,)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, *rest)


@pytest.mark.parametrize("address", PUBLIC_V4 + PUBLIC_V6)
def test_public_addresses(address: str) -> None:
    """Global unicast is public."""
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE_V4 + PRIVATE_V6)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, local, shared, documentation, multicast, Teredo and reserved addresses are not."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_embedding_hides_nothing(address: str) -> None:
    """Mapped, compatible, NAT64 and 6to4 addresses are what the IPv4 address in them is: not public here."""
    assert not any(map(is_public, embedded(address)))


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_embedding_of_public_addresses(address: str) -> None:
    """Mapped, compatible, NAT64 and 6to4 addresses are what the IPv4 address in them is: public here."""
    assert all(map(is_public, embedded(address)))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_private(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever the standard library knows to be special is not public, embedded IPv4 aside."""
    special = ip.is_private or ip.is_multicast or ip.is_loopback or ip.is_link_local or ip.is_unspecified
    holds_v4 = isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour)
    assert not (special and is_public(str(ip))) or holds_v4


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1"])
def test_no_socket_for_a_private_address(address: str) -> None:
    """The guard refuses at the moment of connecting, and remembers that it did."""
    guard = AddressGuard()
    with pytest.raises(PermissionError, match="not public"):
        guard(info(address))
    assert guard.refused


def test_a_socket_for_a_public_address() -> None:
    """A public address gets a socket of its family."""
    guard = AddressGuard()
    with guard(info("1.1.1.1")) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)
    assert not guard.refused


def test_a_trusted_origin_may_be_anywhere() -> None:
    """For an origin that the user vouches for every address will do."""
    with AddressGuard(anywhere=True)(info("127.0.0.1")) as made:
        assert made.family == socket.AF_INET
