from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from streamfan import __version__
from streamfan.errors import Permanent, Retryable
from streamfan.events import Start, Text, decode
from tests.support.chunks import STREAM, TEXTS, chunks, ending
from tests.support.receiver import Exchange, Receiver, Reply, answer
from tests.support.webhooks import KEY, Make

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_stream_arrives_as_its_events_in_order(receiver: Receiver, make: Make) -> None:
    sink, pieces, end = make(), chunks(*TEXTS), ending("".join(TEXTS))

    held = sink.open(STREAM)
    for chunk in pieces:
        sink.write(chunk)
    sink.close(STREAM, end)

    assert held is None
    assert [decode(posted.body) for posted in receiver.posted] == [Start.of(STREAM), *map(Text.of, pieces), end]


def test_requests_are_json_posts_that_say_who_sends_them(receiver: Receiver, make: Make) -> None:
    sink = make(f"{receiver.url}/deep%20path?token=a%2Fb")

    sink.open(STREAM)

    (posted,) = receiver.posted
    assert (posted.method, posted.path) == ("POST", "/hook/deep%20path?token=a%2Fb")
    assert posted.headers["host"] == f"localhost:{receiver.port}"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["user-agent"] == f"streamfan/{__version__}"


def test_ids_tell_events_apart_and_hold_no_dot(receiver: Receiver, make: Make) -> None:
    sink = make()

    sink.open(STREAM)
    for chunk in chunks("é", "!"):
        sink.write(chunk)
    sink.close(STREAM, ending("é!"))

    ids = [posted.headers["webhook-id"] for posted in receiver.posted]
    assert ids == [f"{STREAM.id}_7_{position}" for position in ("start", "0-2", "2-3", "end")]


def test_interleaved_streams_and_attempts_are_kept_apart(receiver: Receiver, make: Make) -> None:
    sink = make()
    streams = [replace(STREAM, id="a"), replace(STREAM, id="b"), replace(STREAM, id="a", attempt=8)]

    for stream in streams:
        sink.open(stream)
    for stream in streams:
        sink.write(chunks("same", stream=stream)[0])
    for stream in streams:
        sink.close(stream, ending("same", stream))

    ids = [posted.headers["webhook-id"] for posted in receiver.posted]
    assert ids == [f"{who}_{what}" for what in ("start", "0-4", "end") for who in ("a_7", "b_7", "a_8")]


def test_stream_that_is_closed_and_opened_again_starts_again(receiver: Receiver, make: Make) -> None:
    sink = make()

    for _ in range(2):
        sink.open(STREAM)
        sink.close(STREAM, ending(""))

    assert [event["type"] for event in receiver.events] == ["start", "end", "start", "end"]


@pytest.mark.parametrize("wanted", [False, True])
def test_token_ids_are_sent_where_they_are_asked_for(receiver: Receiver, make: Make, wanted: bool) -> None:
    sink = make(token_ids=wanted) if wanted else make()

    sink.open(STREAM)
    sink.write(chunks("text", token_ids=(1, 2))[0])
    sink.close(STREAM, ending("text", tokens=3, token_ids=(3,)))

    _, text, end = receiver.events
    assert (text["token_ids"], end["token_ids"], end["tokens"]) == (([1, 2], [3], 3) if wanted else ([], [], 3))


def test_body_of_the_largest_chunk_stays_below_the_limit(receiver: Receiver, make: Make) -> None:
    sink, limit = make(), 16 * 1024
    text = '"\\\x01é😀' * 2000
    while sink.size(text) > limit:
        text = text[:-1]

    sink.open(STREAM)
    sink.write(chunks(text)[0])

    body = receiver.posted[-1].body
    assert limit - 300 < len(body) <= limit
    assert json.loads(body)["text"] == text


def test_many_chunks_share_one_connection(receiver: Receiver, make: Make) -> None:
    sink = make()

    sink.open(STREAM)
    for chunk in chunks(*["word "] * 100):
        sink.write(chunk)

    assert len(receiver.posted) == 101
    assert len({posted.connection for posted in receiver.posted}) == 1


def test_connection_that_the_receiver_closes_is_replaced(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(answer(200, {"connection": "close"}))

    sink.open(STREAM)
    sink.write(chunks("text")[0])

    assert [event["type"] for event in receiver.events] == ["start", "text"]


def test_cookies_are_not_sent_back(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(answer(200, {"set-cookie": "who=you; Path=/"}))

    sink.open(STREAM)
    sink.write(chunks("text")[0])

    assert "cookie" not in receiver.posted[1].headers


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_proxies_of_the_environment_are_ignored(
    receiver: Receiver, make: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")

    make().open(STREAM)

    assert len(receiver.posted) == 1


# Signatures


def verifying(secret: str) -> Reply:
    """Answer as a receiver does that checks signatures with the official library: 204, or 401."""

    def reply(exchange: Exchange) -> None:
        try:
            Webhook(secret).verify(exchange.posted.body, dict(exchange.posted.headers))
        except WebhookVerificationError:
            exchange.answer(401, {}, b"bad signature")
        else:
            exchange.answer(204, {}, b"")

    return reply


def test_official_library_verifies_every_request(make: Make) -> None:
    with Receiver(verifying(KEY)) as receiver:
        sink = make(receiver.url, secret=KEY)

        sink.open(STREAM)
        for chunk in chunks(*TEXTS):
            sink.write(chunk)
        sink.close(STREAM, ending("".join(TEXTS)))

        assert len(receiver.posted) == len(TEXTS) + 2


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EAST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_signature_does_not_depend_on_the_time_zone(make: Make) -> None:
    with Receiver(verifying(KEY)) as receiver:
        make(receiver.url, secret=KEY).open(STREAM)

        assert len(receiver.posted) == 1


def test_receiver_with_another_secret_refuses_the_signature(make: Make) -> None:
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    with Receiver(verifying(other)) as receiver:
        sink = make(receiver.url, secret=KEY)

        with pytest.raises(Permanent, match="401 Unauthorized: 'bad signature'"):
            sink.open(STREAM)


def test_without_a_secret_there_is_an_id_and_a_time_but_no_signature(receiver: Receiver, make: Make) -> None:
    make().open(STREAM)

    (posted,) = receiver.posted
    assert {name for name in posted.headers if name.startswith("webhook-")} == {"webhook-id", "webhook-timestamp"}


def test_secret_is_in_no_error(make: Make) -> None:
    with Receiver(answer(500)) as receiver:
        sink = make(f"{receiver.url}?token=hunter2", secret=KEY)

        with pytest.raises(Retryable) as failed:
            sink.open(STREAM)

        assert "hunter2" not in str(failed.value)
        assert KEY.removeprefix("whsec_") not in str(failed.value)
