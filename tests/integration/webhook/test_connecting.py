from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.webhook import WebhookSink
from tests.support.chunks import STREAM, chunks
from tests.support.receiver import CERTIFICATE, Receiver
from tests.support.redis_server import free_port
from tests.support.webhooks import Make


def test_connect_reaches_the_receiver_and_posts_nothing(receiver: Receiver, make: Make) -> None:
    make()

    receiver.wait_until(lambda: receiver.connections == 1)
    assert receiver.posted == ()


def test_port_that_nobody_listens_on_is_a_connection_error(make: Make) -> None:
    port = free_port()

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


@pytest.mark.parametrize("answer", ["{request}\r\n\r\n", "HTTP/1.1 200 OK\r\nX Bad {request}\r\n\r\n"])
def test_what_is_no_http_is_not_quoted_for_it_may_repeat_secrets(answer: str, make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def repeat() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        if request := connection.recv(65536).decode():
                            connection.sendall(answer.format(request=request.splitlines()[0]).encode())

        threading.Thread(target=repeat, daemon=True).start()
        sink = make(f"http://localhost:{server.getsockname()[1]}/hook?key=hunter2")

        with pytest.raises(ConnectionError, match="no HTTP") as raised:
            sink.open(STREAM)

    assert "hunter2" not in str(raised.value)
