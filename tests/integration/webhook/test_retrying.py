from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

from streamfan.errors import Permanent, Retryable
from tests.support.chunks import STREAM, chunks, ending
from tests.support.receiver import PATIENCE, Receiver, Reply, answer, endless, hang_up, redirect, silence, torn
from tests.support.redis_server import free_port
from tests.support.webhooks import KEY, Make

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def again(id: str, fault: str, reply: Reply, error: type[Exception]) -> ParameterSet:
    return pytest.param(reply, error, id=id, marks=pytest.mark.guarantee("webhook", fault))


AGAIN = [
    again("500", "raising", answer(500), Retryable),
    again("503", "raising", answer(503, {"retry-after": "0"}), Retryable),
    again("507", "disk full", answer(507), Retryable),
    again("hang-up", "reset in the middle", hang_up, ConnectionError),
    again("torn-status", "reset in the middle", torn(b"HTTP/1.1 2"), ConnectionError),
    again("torn-headers", "reset in the middle", torn(b"HTTP/1.1 200 OK\r\ncontent-le"), ConnectionError),
    again("not-http", "wrong answer", torn(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), ConnectionError),
    again("silence", "hung", silence, TimeoutError),
    again("drip", "hung", endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", pause=0.02), TimeoutError),
]


def patience(error: type[Exception]) -> float:
    """A timeout: short where it is what is tested, for it has to pass."""
    return 1.0 if error is TimeoutError else PATIENCE


@pytest.mark.parametrize(("fault", "error"), AGAIN)
def test_chunk_is_sent_again_with_the_same_id_and_bytes(
    receiver: Receiver, make: Make, fault: Reply, error: type[Exception]
) -> None:
    sink, (first, second) = make(timeout=patience(error)), chunks("Once", " upon")
    receiver.script(answer(), answer(), fault)
    sink.open(STREAM)
    sink.write(first)

    with pytest.raises(error):
        sink.write(second)
    held = sink.open(STREAM)
    # What a lane hands in again could have been made anew, a moment later.
    sink.write(replace(second, time=datetime.now(UTC), token_ids=(1,)))

    assert held is None
    start, _, failed, again = receiver.posted
    assert start.event["type"] == "start"
    assert (again.headers["webhook-id"], again.body) == (failed.headers["webhook-id"], failed.body)


@pytest.mark.parametrize(("fault", "error"), AGAIN)
def test_start_event_is_sent_until_it_is_taken_and_then_no_more(
    receiver: Receiver, make: Make, fault: Reply, error: type[Exception]
) -> None:
    sink = make(timeout=patience(error))
    receiver.script(fault)

    with pytest.raises(error):
        sink.open(STREAM)
    for _ in range(3):
        sink.open(STREAM)

    failed, again = receiver.posted
    assert (again.headers["webhook-id"], again.body) == (failed.headers["webhook-id"], failed.body)


def test_end_event_is_sent_again_with_the_same_id_and_bytes(receiver: Receiver, make: Make) -> None:
    sink, end = make(), ending("")
    receiver.script(answer(), answer(502))
    sink.open(STREAM)

    with pytest.raises(Retryable, match="502 Bad Gateway"):
        sink.close(STREAM, end)
    sink.open(STREAM)
    sink.close(STREAM, replace(end, time=datetime.now(UTC)))

    start, failed, again = receiver.posted
    assert start.event["type"] == "start"
    assert (again.headers["webhook-id"], again.body) == (failed.headers["webhook-id"], failed.body)


def test_receiver_that_always_fails_fails_every_try(make: Make) -> None:
    with Receiver(answer(500, body=b"out of order")) as receiver:
        sink = make(receiver.url)

        for _ in range(5):
            with pytest.raises(Retryable, match="answered 500 Internal Server Error: 'out of order'"):
                sink.open(STREAM)

        assert len({posted.body for posted in receiver.posted}) == 1


def test_signature_of_a_retry_is_that_of_its_own_time(receiver: Receiver, make: Make) -> None:
    sink = make(secret=KEY)
    receiver.script(answer(500))

    with suppress(Retryable):
        sink.open(STREAM)
    sink.open(STREAM)

    for posted in receiver.posted:
        Webhook(KEY).verify(posted.body, dict(posted.headers))


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7.0, 7.0), ("Fri, 31 Dec 2199 23:59:59 GMT", 1.0, 3600.0), ("soon", None, None)],
)
def test_retry_after_reaches_the_lane(
    receiver: Receiver, make: Make, header: str, least: float | None, most: float | None
) -> None:
    sink = make()
    receiver.script(answer(429, {"Retry-After": header}))

    with pytest.raises(Retryable) as busy:
        sink.open(STREAM)

    after = busy.value.after
    assert after is None if least is None or most is None else after is not None and least <= after <= most


def test_slow_answer_within_the_timeout_is_waited_for(receiver: Receiver, make: Make) -> None:
    sink = make(timeout=PATIENCE)
    receiver.script(answer(delay=0.2))

    sink.open(STREAM)

    assert len(receiver.posted) == 1


def test_body_that_breaks_off_does_not_undo_the_status(receiver: Receiver, make: Make) -> None:
    sink = make()
    receiver.script(torn(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthank"))

    sink.open(STREAM)
    sink.write(chunks("text")[0])

    assert [event["type"] for event in receiver.events] == ["start", "text"]


def test_body_without_end_is_not_read_to_its_end(receiver: Receiver, make: Make) -> None:
    sink = make(timeout=3600)
    receiver.script(endless(b"HTTP/1.1 500 No\r\ncontent-length: 1000000000000\r\n\r\n", b"z" * 65536))

    with pytest.raises(Retryable, match="500 Internal Server Error: 'zzz") as failed:
        sink.open(STREAM)

    assert len(str(failed.value)) < 400


def test_receiver_that_goes_away_and_comes_back_gets_the_chunk(make: Make) -> None:
    (chunk,) = chunks("text")
    with Receiver(port=free_port()) as receiver:
        sink = make(receiver.url)
        sink.open(STREAM)

    with pytest.raises(ConnectionError):
        sink.write(chunk)
    with Receiver(port=receiver.port) as back:
        sink.write(chunk)

        assert [event["type"] for event in back.events] == ["text"]


def test_only_streams_that_have_gone_quiet_are_forgotten(
    receiver: Receiver, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamfan.sinks.webhook.messages._REMEMBERED", 2)
    sink, busy, quiet = make(), replace(STREAM, id="busy"), replace(STREAM, id="quiet")
    sink.open(busy)
    sink.open(quiet)
    sink.write(chunks("text", stream=busy)[0])
    sink.open(replace(STREAM, id="new"))

    sink.open(busy)
    sink.open(quiet)

    ids = [posted.headers["webhook-id"] for posted in receiver.posted]
    assert ids == ["busy_7_start", "quiet_7_start", "busy_7_0-4", "new_7_start", "quiet_7_start"]


# Refusals


def test_gone_receiver_is_not_asked_again(receiver: Receiver, make: Make) -> None:
    sink, other = make(), replace(STREAM, id="other")
    receiver.script(answer(), answer(410, body=b"unsubscribed"))
    sink.open(STREAM)

    with pytest.raises(Permanent, match="410 Gone: 'unsubscribed'"):
        sink.write(chunks("text")[0])

    calls: list[Callable[[], object]] = [
        lambda: sink.open(other),
        lambda: sink.write(chunks("text")[0]),
        lambda: sink.close(STREAM, ending("text", complete=False)),
    ]
    for call in calls:
        with pytest.raises(Permanent, match="410 Gone: 'unsubscribed'"):
            call()
    assert len(receiver.posted) == 2


@pytest.mark.guarantee("webhook", "wrong answer")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_an_error_and_not_followed(receiver: Receiver, make: Make, status: int) -> None:
    sink = make()
    receiver.script(redirect(status, f"http://localhost:{receiver.port}/elsewhere"))

    with pytest.raises(
        Permanent, match=rf"answered {status} .*towards 'http://localhost:\d+/elsewhere'; redirects are not followed"
    ):
        sink.open(STREAM)

    assert [posted.path for posted in receiver.posted] == ["/hook"]


def test_refused_stream_leaves_the_others_alone(receiver: Receiver, make: Make) -> None:
    sink, other = make(), replace(STREAM, id="other")
    receiver.script(answer(404, body=b"no such hook"))

    with pytest.raises(Permanent, match="answered 404 Not Found: 'no such hook'"):
        sink.open(STREAM)
    sink.open(other)

    assert [event["stream"] for event in receiver.events] == [STREAM.id, "other"]
