"""Which addresses are connected to: link-local ones and metadata services never, and only public ones where asked."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, suppress

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.webhook import addresses
from tests.support.chunks import STREAM
from tests.support.names import Names
from tests.support.receiver import Receiver, hang_up, redirect
from tests.support.webhooks import Make


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_metadata_and_link_local_addresses_are_refused_at_connect(make: Make, scheme: str, host: str) -> None:
    with pytest.raises(Permanent, match=r"nothing is sent to host .*(link-local address|metadata service)"):
        make(f"{scheme}://{host}/latest/meta-data")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


def test_name_that_later_means_a_metadata_address_is_refused_then(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"])
    sink = make(f"http://hook.test:{receiver.port}/")
    receiver.script(hang_up)
    with suppress(ConnectionError):
        sink.open(STREAM)

    with pytest.raises(Permanent, match=r"host 'hook\.test': 169\.254\.169\.254 is a link-local address"):
        sink.open(STREAM)

    assert len(receiver.posted) == 1


def test_address_that_was_checked_is_the_one_connected_to(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["127.0.0.1"])

    make(f"http://hook.test:{receiver.port}/").open(STREAM)

    # For each of two connections: the name is asked for once, and then only the address that it gave.
    assert names.asked == ["hook.test", "127.0.0.1"] * 2
    assert receiver.posted[0].headers["host"] == f"hook.test:{receiver.port}"


def test_name_with_usable_addresses_too_is_posted_to_there(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["fe80::1", "169.254.169.254", "127.0.0.1"])

    make(f"http://hook.test:{receiver.port}/").open(STREAM)

    assert len(receiver.posted) == 1
    assert set(names.asked) == {"hook.test", "127.0.0.1"}


def test_address_that_refuses_is_followed_by_the_next(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["::1", "127.0.0.1"])

    make(f"http://hook.test:{receiver.port}/").open(STREAM)

    assert len(receiver.posted) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a second loopback address")
def test_address_that_swallows_packets_leaves_time_for_the_next(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["127.0.0.2", "127.0.0.1"])
    with ExitStack() as open_sockets:
        full = open_sockets.enter_context(socket.create_server(("127.0.0.2", receiver.port), backlog=0))
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        make(f"http://hook.test:{receiver.port}/", timeout=2.0)

    receiver.wait_until(lambda: receiver.connections == 1)


# Public only


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
    ],
)
def test_private_addresses_are_refused_where_only_public_ones_are_wanted(
    receiver: Receiver, make: Make, host: str
) -> None:
    with pytest.raises(Permanent, match=r"nothing is sent to host .*: .* is not a public address"):
        make(f"http://{host}:{receiver.port}/", public_only=True)

    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[fe80::1]"])
def test_metadata_addresses_are_refused_then_too(make: Make, host: str) -> None:
    with pytest.raises(Permanent, match="nothing is sent to host"):
        make(f"http://{host}/", public_only=True)


def test_name_of_a_private_address_is_refused(receiver: Receiver, make: Make, names: Names) -> None:
    names.tell("hook.test", ["127.0.0.1"])

    with pytest.raises(Permanent, match=r"host 'hook\.test': 127\.0\.0\.1 is not a public address"):
        make(f"http://hook.test:{receiver.port}/", public_only=True)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> str:
    """A loopback address that passes for a public one: real ones cannot be connected to here."""
    genuine = addresses._is_public
    monkeypatch.setattr(addresses, "_is_public", lambda address: str(address) == "127.0.0.1" or genuine(address))
    return "127.0.0.1"


def test_name_with_a_private_address_too_is_posted_to_at_the_public_one(
    receiver: Receiver, make: Make, names: Names, public: str
) -> None:
    names.tell("hook.test", ["127.0.0.2", "10.0.0.1", "::1", public])

    make(f"http://hook.test:{receiver.port}/", public_only=True).open(STREAM)

    assert len(receiver.posted) == 1
    assert set(names.asked) == {"hook.test", public}


def test_name_that_later_means_a_private_address_is_refused_then(
    receiver: Receiver, make: Make, names: Names, public: str
) -> None:
    names.tell("hook.test", [public], [public], ["::1"])
    sink = make(f"http://hook.test:{receiver.port}/", public_only=True)
    receiver.script(hang_up)
    with suppress(ConnectionError):
        sink.open(STREAM)

    with pytest.raises(Permanent, match=r"host 'hook\.test': ::1 is not a public address"):
        sink.open(STREAM)

    assert len(receiver.posted) == 1


def test_redirect_to_a_private_address_is_not_followed(
    receiver: Receiver, make: Make, names: Names, public: str
) -> None:
    names.tell("hook.test", [public])
    sink = make(f"http://hook.test:{receiver.port}/", public_only=True)
    receiver.script(redirect(307, f"http://localhost:{receiver.port}/admin"))

    with pytest.raises(Permanent, match="redirects are not followed"):
        sink.open(STREAM)

    assert [posted.path for posted in receiver.posted] == ["/"]
