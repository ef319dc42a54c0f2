from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.sinks.webhook.addresses import refusal

LINK_LOCAL = ["169.254.169.254", "169.254.0.1", "169.254.255.255", "fe80::1", "fe80::1%eth0", "febf::1"]
METADATA = ["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:42::42", "fd00:ec2::254", "fd20:ce::254"]
USABLE = [
    "127.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "100.100.100.201",
    "8.8.8.8",
    "::1",
    "fd00::1",
    "2606:4700::1111",
    "::ffff:127.0.0.1",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


def worn_by(address: IPv4Address) -> list[IPv6Address]:
    """Every IPv6 address that may end up at `address`."""
    bits = int(address)
    high, low = bits >> 16, bits & 0xFFFF
    return [
        IPv6Address(bits),
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(f"::ffff:0:{address}"),
        IPv6Address(f"64:ff9b::{address}"),
        IPv6Address(f"64:ff9b:1::{address}"),
        IPv6Address(f"64:ff9b:1:{high:x}:{low >> 8:x}:{(low & 0xFF) << 8:x}::"),
        IPv6Address(f"64:ff9b:1:{high >> 8:x}:{(high & 0xFF):x}:{low:x}::"),
        IPv6Address(f"64:ff9b:1:0:{high >> 8:x}:{(high & 0xFF) << 8 | low >> 8:x}:{(low & 0xFF) << 8:x}:0"),
        IPv6Address(f"2002:{high:x}:{low:x}::1"),
        IPv6Address(f"2001:0:{high:x}:{low:x}::1"),
        IPv6Address(f"2001:0:808:808::{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"),
    ]


@pytest.mark.parametrize("address", LINK_LOCAL)
def test_link_local_addresses_are_refused(address: str) -> None:
    assert refusal(address) == "a link-local address"


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_refused(address: str) -> None:
    assert refusal(address) == "the address of a cloud's metadata service"


@pytest.mark.parametrize("address", USABLE)
def test_private_and_public_addresses_may_be_used(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize("address", ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"])
def test_metadata_address_inside_an_ipv6_one_is_refused(address: str) -> None:
    assert refusal(address) == "a link-local address"


@given(st.integers(0, 0xFFFF).map(lambda low: IPv4Address(0xA9FE0000 + low)))
def test_no_way_of_writing_a_link_local_ipv4_address_as_ipv6_gets_through(address: IPv4Address) -> None:
    got_through = [worn for worn in worn_by(address) if refusal(str(worn)) is None]

    assert got_through == []


# Public only

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "192.88.98.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.3",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:808:808::1",
    "2002:7f00:1::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_used_where_only_these_are_wanted(address: str) -> None:
    assert refusal(address, public_only=True) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_refused_then(address: str) -> None:
    assert refusal(address, public_only=True) == "not a public address"


@pytest.mark.parametrize("address", [*LINK_LOCAL, *METADATA])
def test_what_is_always_refused_is_then_too(address: str) -> None:
    assert refusal(address, public_only=True) is not None


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_ipv6_form_of_any_ipv4_address_passes_for_public(address: IPv4Address) -> None:
    # Nor of a public one: what translates it is somebody's network, and could lead anywhere.
    got_through = [worn for worn in worn_by(address) if refusal(str(worn), public_only=True) is None]

    assert got_through == []


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_public_is_never_more_than_what_ipaddress_says(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert refusal(str(address), public_only=True) is not None
