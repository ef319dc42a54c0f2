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
