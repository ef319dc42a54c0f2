"""Asking a producer to stop: who is refused, and what is left for the others; the server's answers are scripted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from streamfan.errors import CancelRefused, StreamNotFound
from streamfan.events import Event
from streamfan.redis.connection import Connection
from streamfan.redis.control import CancelRequest
from streamfan.redis.lease import Control, Lease
from streamfan.redis.names import Names
from streamfan.subscriber.stopping import Stop, ask
from tests.support.scripted_hub import WANTED
from tests.support.wire_events import ATTEMPT, STREAM, end, entry, text

if TYPE_CHECKING:
    from streamfan.subscriber.reading import Wanted

NAMES = Names("streamfan", STREAM)
STOP = Stop(0, "seen enough", "ann", None)


class Server:
    """Answers one look at a stream, and remembers what is commanded then."""

    address = "redis://here"

    def __init__(self, *, control: Control | None, last: Event | None = None, claimed: int | None = None) -> None:
        lease = None if control is None else Lease(attempt=ATTEMPT, writer="w", seconds=5.0, control=control).encode()
        claim = [] if claimed is None else [[b"%d-0" % claimed, [b"writer", b"w"]]]
        self._answers: list[Any] = [lease, 4200 if lease else -2, claim, []]
        if last is not None:
            id, data = entry(last)
            self._answers[3] = [[str(id).encode(), [b"event", data]]]
        self.commands: list[tuple[Any, ...]] = []

    def answers(self, *commands: tuple[Any, ...]) -> list[Any]:
        assert len(commands) == len(self._answers)
        return self._answers

    def command(self, *arguments: Any) -> Any:
        self.commands.append(arguments)

    def is_asked(self, stop: Stop) -> None:
        ask(cast("Connection", self), NAMES, stop)


def running(control: Control | None) -> Server:
    return Server(control=control, last=text(0, "Hello"))


def test_a_request_is_left_for_the_attempt_that_runs() -> None:
    server = running("open")

    server.is_asked(STOP)

    ((command, key, data, unit, milliseconds),) = server.commands
    assert (command, key, unit, milliseconds) == ("SET", "streamfan:{s}:cancel", "PX", 3_600_000)
    assert CancelRequest.decode(data) == CancelRequest(attempt=ATTEMPT, reason="seen enough", by="ann")


@pytest.mark.parametrize("holder", [Stop(0, "seen enough", "ann", "s3cr3t"), replace(WANTED, token="s3cr3t")])
def test_what_holds_a_token_does_not_show_it(holder: Stop | Wanted) -> None:
    assert holder.token == "s3cr3t"
    assert "s3cr3t" not in repr(holder)


def test_a_request_with_a_token_proves_it_and_does_not_tell_it() -> None:
    server = running("token")

    server.is_asked(Stop(ATTEMPT, "seen enough", "ann", "s3cr3t"))

    ((_, _, data, _, _),) = server.commands
    request = CancelRequest.decode(data)
    assert request.proves("s3cr3t", STREAM)
    assert not request.proves("other", STREAM)
    assert not request.proves("s3cr3t", "another-stream")
    assert b"s3cr3t" not in data


@pytest.mark.parametrize(
    ("server", "stop", "said"),
    [
        (running("off"), STOP, "hears no request to stop\nTry: -o redis.control=true where it runs"),
        (running("token"), STOP, "wants a token"),
        (running(None), STOP, "nobody hears it, its producer does not show that it lives"),
        (running("open"), Stop(6, "", "", None), "attempt 6 is over, and attempt 7 was not meant"),
    ],
    ids=["control off", "no token", "no lease", "another attempt"],
)
def test_who_would_not_be_heard_is_told_so_and_nothing_is_left(server: Server, stop: Stop, said: str) -> None:
    with pytest.raises(CancelRefused, match=said):
        server.is_asked(stop)

    assert server.commands == []


def test_there_must_be_such_a_stream() -> None:
    server = Server(control=None)

    with pytest.raises(StreamNotFound, match="there is no stream 's' in Redis at redis://here"):
        server.is_asked(STOP)

    assert server.commands == []


def test_a_producer_that_has_not_written_yet_is_asked() -> None:
    server = Server(control="open")

    server.is_asked(STOP)

    assert len(server.commands) == 1


@pytest.mark.parametrize("control", ["off", None])
def test_a_stream_that_has_ended_is_left_alone(control: Control | None) -> None:
    server = Server(control=control, last=end("Hello"))

    server.is_asked(STOP)

    assert server.commands == []


# The lease is of attempt 7.
@pytest.mark.parametrize("control", ["open", "off", "token"])
def test_the_newest_attempt_is_asked_also_where_an_older_one_has_renewed_its_lease_since(control: Control) -> None:
    server = Server(control=control, last=text(0, "Hello"), claimed=8)

    server.is_asked(STOP)

    ((_, _, data, _, _),) = server.commands
    assert CancelRequest.decode(data).attempt == 8


def test_an_attempt_that_another_has_taken_over_from_is_not_asked() -> None:
    server = Server(control="open", last=text(0, "Hello"), claimed=8)

    with pytest.raises(CancelRefused, match="attempt 7 is over, and attempt 8 was not meant"):
        server.is_asked(Stop(7, "", "", None))

    assert server.commands == []


def test_an_attempt_is_asked_that_has_not_written_yet_where_an_older_one_has_ended() -> None:
    server = Server(control="open", last=end("Hello"), claimed=8)

    server.is_asked(STOP)

    assert len(server.commands) == 1
