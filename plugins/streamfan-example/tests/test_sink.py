"""What this sink does beyond the contract: its target, its options, and what becomes of each answer."""

from __future__ import annotations

from socket import SHUT_WR
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from streamfan import Retryable, SpecError, Start, Text
from streamfan.events import encode, now
from streamfan.testing import chunks, new_stream, play
from streamfan_example import ExampleOptions, ExampleSink

if TYPE_CHECKING:
    from streamfan import Report
    from tests.forgetful import ForgetfulCollector

TEXT = "Once upon a time, día 日本"


def sink_for(collector: ForgetfulCollector, token: str = "s3cret") -> ExampleSink:
    return ExampleSink(collector.target, ExampleOptions.model_validate({"token": token}))


def failure(report: Report) -> str:
    """Why a text was not delivered."""
    assert len(report.failures) == 1
    return str(report.failures[0])


# Target and options


@pytest.mark.parametrize(
    ("target", "label"),
    [(None, "localhost:9009"), ("host:1", "host:1"), ("[::1]:9009", "[::1]:9009")],
)
def test_label_is_the_address(target: str | None, label: str) -> None:
    assert ExampleSink(target).label == label


@pytest.mark.parametrize(
    "target", ["host", "host:", ":9009", "host:port", "host:0", "host:99999", "host:1/path", "[::1"]
)
def test_target_that_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(SpecError, match=r"its target is no address\nTry: --sink example:HOST:PORT"):
        ExampleSink(target)


def test_password_in_the_target_is_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError, match="holds a user's name") as refused:
        ExampleSink("me:hunter2@host:1")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("timeout", ["0s", "6m", "soon"])
def test_timeout_has_bounds(timeout: str) -> None:
    with pytest.raises(ValidationError, match="timeout"):
        ExampleOptions.model_validate({"timeout": timeout})


# Answers


def test_text_arrives(collector: ForgetfulCollector) -> None:
    report = play(TEXT, sink_for(collector))

    report.raise_for_failures()
    (file,) = collector.folder.iterdir()
    assert file.read_text(encoding="utf-8") == TEXT


def test_busy_collector_is_asked_again(collector: ForgetfulCollector) -> None:
    collector.instead = "busy 0 no space left"

    report = play(TEXT, sink_for(collector))

    report.raise_for_failures()
    assert collector.instead is None


def test_refusal_fails_the_stream_with_the_reason(collector: ForgetfulCollector) -> None:
    collector.instead = "no: not today"

    assert "the collector refuses: not today" in failure(play(TEXT, sink_for(collector)))


def test_wrong_token_fails_at_once_and_is_not_shown(collector: ForgetfulCollector) -> None:
    why = failure(play(TEXT, sink_for(collector, token="hunter2")))

    assert "the collector refuses: wrong token" in why
    assert "hunter2" not in why


def test_something_else_at_the_port_is_no_collector(collector: ForgetfulCollector) -> None:
    collector.instead = "HTTP/1.1 400 Bad Request"

    assert "this is no collector, it answers 'HTTP/1.1 400 Bad Request'" in failure(play(TEXT, sink_for(collector)))


def test_collector_that_has_forgotten_everything_is_asked_what_it_holds(collector: ForgetfulCollector) -> None:
    stream = new_stream(id="a", attempt=1)
    sink = sink_for(collector)
    sink.connect()
    sink.open(stream)
    once, upon = chunks(stream, "Once ", "upon")
    sink.write(once)
    (collector.folder / "a-1.txt").write_bytes(b"")

    with pytest.raises(Retryable, match="holds 0 bytes and not 9"):
        sink.write(upon)

    assert sink.open(stream) == 0
    sink.disconnect()


def test_connection_that_is_broken_is_made_anew(collector: ForgetfulCollector) -> None:
    stream = new_stream(id="a", attempt=1)
    sink = sink_for(collector)
    sink.connect()
    assert sink._connection is not None
    # What is written to a collector that has died ends the same way, if it is noticed in time.
    sink._connection._socket.shutdown(SHUT_WR)

    with pytest.raises(Retryable, match="the collector has hung up"):
        sink.open(stream)

    assert sink.open(stream) == 0
    sink.disconnect()


# The collector


def text(offset: int, text: str, stream: str = "a") -> bytes:
    """A line that has a text appended."""
    end = offset + len(text.encode())
    return encode(Text(stream=stream, attempt=1, offset=offset, end=end, text=text, time=now()))


def test_text_is_appended_only_where_the_file_ends(collector: ForgetfulCollector) -> None:
    lines = [text(0, "día"), text(0, "día"), text(9, "!"), text(4, "!")]

    assert [collector.answer(line) for line in lines] == ["ok 4", "ok 4", "ok 4", "ok 5"]
    assert (collector.folder / "a-1.txt").read_text(encoding="utf-8") == "día!"


def test_half_a_character_that_a_kill_has_left_is_cut_off(collector: ForgetfulCollector) -> None:
    file = collector.folder / "a-1.txt"
    file.write_bytes("día".encode()[:2])

    assert collector.answer(encode(Start.of(new_stream(id="a", attempt=1)))) == "ok 1"
    assert file.read_bytes() == b"d"


@pytest.mark.parametrize("stream", ["../escaped", "a/b", ""])
def test_collector_writes_nowhere_but_in_its_folder(collector: ForgetfulCollector, stream: str) -> None:
    assert collector.answer(text(0, "a", stream)).startswith("no: stream id")
    assert list(collector.folder.iterdir()) == []
