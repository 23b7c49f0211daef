"""Which addresses may be connected to when a server chose the host.

A server that names a link could make us send requests into our own network (server-side request forgery). So every
address is checked at the moment of connecting: a name that was looked up earlier may resolve differently by then.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from attrs import define, field

Address = IPv4Address | IPv6Address
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""One entry of the list that `socket.getaddrinfo` returns."""

# The IANA special-purpose registries, in a table of our own: `is_global` differs between Python versions, and counts
# multicast and NAT64 as global.
_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared behind a carrier's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with the metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_EMBEDDING_V6 = {
    IPv6Network("::/96"): 0,  # IPv4-compatible
    IPv6Network("::ffff:0:0/96"): 0,  # IPv4-mapped
    IPv6Network("64:ff9b::/96"): 0,  # NAT64
    IPv6Network("2002::/16"): 80,  # 6to4
}
"""The networks whose addresses hold an IPv4 address, and how many bits follow it."""


def is_public(address: str) -> bool:
    """Return whether *address*, in figures, is global unicast, also when IPv4 is embedded into it."""
    ip = _unwrap(ip_address(address))
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _SPECIAL_V4)
    return ip in _UNICAST_V6 and not any(ip in network for network in _SPECIAL_V6)


def is_public_host(host: str) -> bool:
    """Return whether *host* may be public: an address that is, or a name, unless it is one for this machine."""
    try:
        return is_public(host)
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] != "localhost"


def _unwrap(ip: Address) -> Address:
    if isinstance(ip, IPv6Address):
        for network, trailing in _EMBEDDING_V6.items():
            if ip in network:
                return IPv4Address(int(ip) >> trailing & 0xFFFF_FFFF)
    return ip


@define(eq=False)
class AddressGuard:
    """A socket factory that makes no socket for an address that is not public.

    Attributes:
        anywhere: Whether every address will do, because the user vouches for the origin.
        refused: Whether an address was refused.
    """

    anywhere: bool = False
    refused: bool = field(default=False, init=False)

    def __call__(self, info: AddressInfo) -> socket.socket:
        """Make the socket to connect to *info* with, or raise a `PermissionError`."""
        family, type_, proto, _, address = info
        if not (self.anywhere or is_public(address[0])):
            self.refused = True
            raise PermissionError(errno.EACCES, "the address is not public")
        return socket.socket(family, type_, proto)
