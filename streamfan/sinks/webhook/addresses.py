"""The network addresses that nothing may be sent to, whoever gave them: link-local ones, and metadata services.

Where only public addresses are wanted, everything else is refused too. An IPv6 address may stand for an IPv4 one in
half a dozen ways, and `ipaddress` looks through hardly any of them; its `is_global` is true of some addresses that are
not, and of others in some versions of Python.

Source: the IANA registries of IPv4 and IPv6 special-purpose addresses.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Services that hand a machine's credentials to whoever can reach them. Most of them are link-local; these are not.
_METADATA = tuple(
    map(
        ip_network,
        (
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle Cloud
            "fd00:42::42/128",  # Scaleway
            "fd00:ec2::/32",  # AWS
            "fd20:ce::254/128",  # Google Cloud
        ),
    )
)

# Their last 32 bits are an IPv4 address: compatible, mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052).
_IPV4_AT_END = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))

# NAT64 for local use (RFC 8215): where in it the IPv4 address stands is the network's own choice.
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")

# All of IPv6 that has been given to networks of the world; the rest is local, multicast, or means something else.
_IPV6_UNICAST = IPv6Network("2000::/3")

# Reserved, or worn by IPv4 addresses; `is_global` is true of these, in some version of Python at least.
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)


def refusal(address: str, *, public_only: bool = False) -> str | None:
    """What `address` is, if nothing may be sent to it; None if it may be used.

    Args:
        public_only: Refuse every address that is not public.
    """
    parsed = ip_address(address)
    for each in _meanings(parsed):
        if each.is_link_local:
            return "a link-local address"
        if any(each in network for network in _METADATA):
            return "the address of a cloud's metadata service"
    return "not a public address" if public_only and not _is_public(parsed) else None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _IPV6_UNICAST:
        return False
    return address.is_global and not address.is_multicast and all(address not in network for network in _NOT_PUBLIC)


def _meanings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and every IPv4 address that a packet for it may end up at."""
    yield address
    if isinstance(address, IPv4Address):
        return
    if any(address in network for network in _IPV4_AT_END):
        yield IPv4Address(address.packed[12:])
    if address in _LOCAL_NAT64:
        yield from _translated(address.packed)
    if address.sixtofour is not None:
        yield address.sixtofour
    yield from address.teredo or ()


def _translated(packed: bytes) -> Iterator[IPv4Address]:
    """The IPv4 addresses that RFC 6052 reads behind a prefix of 48, 56, 64 and 96 bits."""
    without_byte_8 = packed[:8] + packed[9:]  # that byte is reserved, and the shorter prefixes step over it
    for start in (6, 7, 8):
        yield IPv4Address(without_byte_8[start : start + 4])
    yield IPv4Address(packed[12:])
