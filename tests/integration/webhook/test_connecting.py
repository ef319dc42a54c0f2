from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.webhook import WebhookSink
from tests.support.chunks import STREAM, chunks
from tests.support.receiver import CERTIFICATE, Receiver, hang_up
from tests.support.webhooks import Make


def test_connect_reaches_the_receiver_and_posts_nothing(receiver: Receiver, make: Make) -> None:
    make()

    receiver.wait_until(lambda: receiver.connections == 1)
    assert receiver.posted == ()


def test_port_that_nobody_listens_on_is_a_connection_error(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(ConnectionError, match=rf"http://localhost:{port}/hook\?\.\.\.: .*refused"):
        make(f"http://localhost:{port}/hook?token=hunter2")


def test_unknown_host_is_a_connection_error(make: Make) -> None:
    with pytest.raises(ConnectionError, match=r"host 'nowhere\.invalid' cannot be resolved"):
        make("http://nowhere.invalid/")


def test_server_that_does_not_greet_is_a_timeout(make: Make) -> None:
    # The kernel accepts for it, and nobody reads.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]

        with pytest.raises(TimeoutError, match=r"no connection within 0\.2 s"):
            make(f"https://localhost:{port}/", timeout=0.2)


def test_server_that_reads_nothing_is_a_timeout(make: Make) -> None:
    (chunk,) = chunks("more than sockets hold " * 1_000_000)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sink = make(f"http://localhost:{mute.getsockname()[1]}/", timeout=0.5)

        with pytest.raises(TimeoutError):
            sink.write(chunk)


def test_sink_that_never_connected_can_be_disconnected() -> None:
    WebhookSink("http://localhost/").disconnect()


def test_disconnect_closes_the_connection(receiver: Receiver, make: Make) -> None:
    sink = make()
    sink.open(STREAM)
    receiver.wait_until(lambda: receiver.connected == 1)

    sink.disconnect()

    receiver.wait_until(lambda: receiver.connected == 0)


# TLS


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusting")
def test_tls_receiver_is_asked_for_by_its_name(make: Make) -> None:
    with Receiver(tls=True) as receiver:
        sink = make(receiver.url)

        sink.open(STREAM)
        sink.write(chunks("text")[0])

        assert [posted.server_name for posted in receiver.posted] == ["localhost"] * 2
        assert len({posted.connection for posted in receiver.posted}) == 1


def test_untrusted_certificate_is_permanent_and_found_at_connect(make: Make) -> None:
    with Receiver(tls=True) as receiver:
        with pytest.raises(Permanent, match=r"certificate of 'localhost' is not trusted: self-signed.*option ca_file"):
            make(receiver.url)

        assert receiver.posted == ()


@pytest.mark.usefixtures("trusting")
def test_certificate_for_another_name_is_permanent(make: Make) -> None:
    with (
        Receiver(tls=True) as receiver,
        pytest.raises(Permanent, match=r"certificate of '127\.0\.0\.1' is not trusted: IP address mismatch"),
    ):
        make(f"https://127.0.0.1:{receiver.port}/")


def test_certificate_is_verified_on_every_connection() -> None:
    with Receiver(tls=True) as receiver:
        sink = WebhookSink(receiver.url)
        steps: list[Callable[[], object]] = [sink.connect, lambda: sink.open(STREAM)]

        for step in steps:
            with pytest.raises(Permanent, match="is not trusted"):
                step()

        assert receiver.posted == ()
        sink.disconnect()


# Addresses


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


class Names:
    """A name server whose answers a test writes down: the next one for each question, the last one for ever.

    An address is its own answer, and connecting to one asks for it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        self._resolve = socket.getaddrinfo

    def tell(self, host: str, *answers: list[str]) -> None:
        self._answers[host] = list(answers)

    def getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self._answers:
            return self._resolve(host, port, *args, **kwargs)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in addresses for found in self._resolve(address, port, *args, **kwargs)]


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
