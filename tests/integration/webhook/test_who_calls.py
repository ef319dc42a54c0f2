"""Who this side is, and who the other one: signatures, tokens, headers and certificates."""

from __future__ import annotations

import base64
import logging
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from streamfan import Fan
from streamfan.errors import ConfigError, Permanent, Retryable
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from tests.support.chunks import STREAM, chunks
from tests.support.receiver import CERTIFICATE, CERTIFICATES, PATIENCE, Exchange, Receiver, answer, silence
from tests.support.webhooks import KEY, Make

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTHORITY = CERTIFICATES / "authority.pem"
OWN = {"client_cert": CERTIFICATES / "client.crt", "client_key": CERTIFICATES / "client.key"}
LOCKED = {**OWN, "client_key": CERTIFICATES / "locked.key", "client_key_password": "correct horse"}
OLD = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
STRANGE = "whsec_" + base64.b64encode(bytes(32)).decode()
TOKEN, SECOND = "hunter2-hunter2", "letmein letmein"


# Keys


def verified(receiver: Receiver, key: str) -> bool:
    (posted,) = receiver.posted
    try:
        Webhook(key).verify(posted.body, dict(posted.headers))
    except WebhookVerificationError:
        return False
    return True


def test_receivers_with_either_key_are_content_while_it_is_replaced(receiver: Receiver, make: Make) -> None:
    make(secret=KEY, previous_secret=OLD).open(STREAM)

    assert verified(receiver, KEY)
    assert verified(receiver, OLD)
    assert not verified(receiver, STRANGE)
    signatures = receiver.posted[0].headers["webhook-signature"].split(" ")
    assert [signature.partition(",")[0] for signature in signatures] == ["v1", "v1"]


def test_previous_key_is_not_used_once_it_is_taken_away(receiver: Receiver, make: Make) -> None:
    make(secret=KEY).open(STREAM)

    assert verified(receiver, KEY)
    assert not verified(receiver, OLD)


# Tokens and headers


def test_token_and_headers_are_sent_with_every_request(receiver: Receiver, make: Make) -> None:
    sink = make(bearer_token=TOKEN, headers={"X-Api-Key": SECOND, "x-team": "stories"})

    sink.open(STREAM)
    sink.write(chunks("text")[0])

    for posted in receiver.posted:
        assert posted.headers["authorization"] == f"Bearer {TOKEN}"
        assert posted.headers["x-api-key"] == SECOND
        assert posted.headers["x-team"] == "stories"
        assert posted.headers["content-type"] == "application/json"


def repeating(exchange: Exchange) -> None:
    """Answer with all that was sent, as a page for debugging does."""
    sent = [exchange.posted.path, *exchange.posted.headers.values()]
    exchange.answer(400, {}, "\n".join(sorted(sent, key=len, reverse=True)).encode())


@pytest.mark.parametrize("secret", [TOKEN, SECOND, "abracadabra"])
def test_secret_that_the_receiver_repeats_is_not_shown(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    where: dict[str, dict[str, Any]] = {
        TOKEN: {"bearer_token": TOKEN},
        SECOND: {"headers": {"X-Key": SECOND}},
    }
    with Receiver(repeating) as receiver:
        sink = WebhookSink(f"{receiver.url}?key=abracadabra", WebhookOptions.model_validate(where.get(secret, {})))
        with Fan() as fan:
            fan.add(sink, lane=LaneOptions(linger=0.0))
            with fan.open() as stream:
                stream.write("text")

    assert secret in str(receiver.posted[0])
    assert "answered 400 Bad Request: '" in str(fan.report.sinks[0].error)
    assert "***" in str(fan.report.sinks[0].error)
    assert secret not in str(fan.report) + repr(fan.report) + caplog.text


def test_redirect_that_repeats_a_secret_does_not_show_it(receiver: Receiver, make: Make) -> None:
    sink = make(bearer_token=TOKEN)
    receiver.script(answer(302, {"location": f"https://example.com/login/{TOKEN}"}))

    with pytest.raises(Permanent, match=r"towards 'https://example\.com/login/\*\*\*'"):
        sink.open(STREAM)


# Certificates


@pytest.fixture
def strict() -> Iterator[Receiver]:
    """Signed by an authority of its own, it takes only clients that the same authority has signed."""
    server = CERTIFICATES / "server.pem"
    with Receiver(tls=True, certificate=server, clients=AUTHORITY) as receiver:
        yield receiver


def test_authority_in_a_file_is_trusted(make: Make) -> None:
    with Receiver(tls=True, certificate=CERTIFICATES / "server.pem") as receiver:
        make(receiver.url, ca_file=AUTHORITY).open(STREAM)

        assert len(receiver.posted) == 1


def test_authority_in_a_file_takes_the_place_of_the_others(make: Make) -> None:
    # Signed by itself, and not by the authority.
    with (
        Receiver(tls=True) as receiver,
        pytest.raises(Permanent, match="certificate of 'localhost' is not trusted"),
    ):
        make(receiver.url, ca_file=AUTHORITY)


def test_authority_that_nobody_named_is_not_trusted(make: Make) -> None:
    with (
        Receiver(tls=True, certificate=CERTIFICATES / "server.pem") as receiver,
        pytest.raises(Permanent, match=r"is not trusted: unable to get local issuer certificate.*option ca_file"),
    ):
        make(receiver.url)


def test_authorities_that_the_environment_names_wrongly_are_told_of(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")

    with pytest.raises(ConfigError, match=r"certificates to trust cannot be loaded: No such file.*\n.*SSL_CERT_FILE"):
        make("https://localhost/")


@pytest.mark.parametrize("identity", [OWN, LOCKED], ids=["plain", "encrypted"])
def test_receiver_that_asks_who_calls_is_shown_the_certificate(
    strict: Receiver, make: Make, identity: dict[str, Any]
) -> None:
    sink = make(strict.url, ca_file=AUTHORITY, **identity)

    sink.open(STREAM)
    sink.write(chunks("text")[0])

    assert len(strict.posted) == 2


@pytest.mark.parametrize("identity", [{}, {"client_cert": CERTIFICATE}], ids=["none", "strange"])
def test_certificate_that_is_missing_or_strange_is_no_fault_that_passes(
    strict: Receiver, make: Make, identity: dict[str, Any]
) -> None:
    sink = make(strict.url, ca_file=AUTHORITY, **identity)

    # In TLS 1.3 the client is through before it has been looked at. The refusal may be lost when the connection breaks.
    with pytest.raises(Permanent, match="does not take our certificate, option client_cert"):
        for _ in range(20):
            try:
                sink.open(STREAM)
            except ConnectionError:
                continue

    assert strict.posted == ()


# Time


def test_connecting_has_a_limit_of_its_own(make: Make) -> None:
    begun = monotonic()

    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(TimeoutError, match=r"no connection within 0\.2 s"),
    ):
        make(f"https://localhost:{mute.getsockname()[1]}/", timeout=PATIENCE, connect_timeout=0.2)

    assert monotonic() - begun < PATIENCE / 2


def test_answer_may_take_longer_than_connecting(receiver: Receiver, make: Make) -> None:
    receiver.script(answer(delay=0.6))

    make(timeout=PATIENCE, connect_timeout=0.3).open(STREAM)

    assert len(receiver.posted) == 1


def test_whole_request_has_a_limit(receiver: Receiver, make: Make) -> None:
    receiver.script(silence)

    with pytest.raises(TimeoutError, match=r"did not answer within 0\.3 s"):
        make(timeout=0.3, connect_timeout=PATIENCE).open(STREAM)


@pytest.mark.guarantee("webhook", "clock jump")
def test_clock_that_is_wrong_does_not_make_the_wait_that_the_receiver_asks_for_wrong(
    receiver: Receiver, make: Make
) -> None:
    long_ago = {"date": "Thu, 01 Jan 1970 00:00:00 GMT", "retry-after": "Thu, 01 Jan 1970 00:00:07 GMT"}
    receiver.script(lambda exchange: exchange.send(_busy(long_ago)))

    with pytest.raises(Retryable) as busy:
        make().open(STREAM)

    assert busy.value.after == 7.0


def _busy(headers: dict[str, str]) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in {"content-length": "0", **headers}.items()]
    return f"HTTP/1.1 503 Service Unavailable\r\n{''.join(lines)}\r\n".encode()
