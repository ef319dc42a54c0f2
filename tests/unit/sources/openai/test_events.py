"""Bytes into server-sent events."""

from __future__ import annotations

import re

import pytest

from streamfan.errors import SourceError
from streamfan.sources.openai import events
from streamfan.sources.openai.events import EventDecoder, ServerEvent


def decoded(*packets: bytes) -> list[ServerEvent]:
    decoder = EventDecoder()
    return [event for packet in packets for event in decoder.push(packet)] + list(decoder.finish())


def test_event_ends_at_a_blank_line() -> None:
    assert decoded(b"data: a\n\ndata: b\n\n") == [ServerEvent("", "a"), ServerEvent("", "b")]


def test_event_is_given_when_its_end_has_come() -> None:
    decoder = EventDecoder()

    assert list(decoder.push(b"data: a\r")) == []
    assert list(decoder.push(b"\n\r")) == [ServerEvent("", "a")]
    assert list(decoder.push(b"\ndata: b\n")) == []
    assert list(decoder.push(b"\n")) == [ServerEvent("", "b")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_end_of_a_line_byte_by_byte(end: bytes) -> None:
    body = end.join([b"event: x", b"data: a", b"data: b", b"", b"data: c", b"", b""])

    assert decoded(*(bytes([byte]) for byte in body)) == [ServerEvent("x", "a\nb"), ServerEvent("", "c")]


def test_type_belongs_to_one_event() -> None:
    assert decoded(b"event: x\n\ndata: a\n\n") == [ServerEvent("", "a")]


def test_what_ends_lines_of_text_is_data() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf"

    assert decoded(f"data: {text}\n\n".encode()) == [ServerEvent("", text)]


def test_one_byte_order_mark_is_left_out() -> None:
    assert decoded(b"\xef", b"\xbb\xbfdata: a\n\n") == [ServerEvent("", "a")]
    with pytest.raises(SourceError, match="no event"):
        decoded(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n")


def test_only_one_space_is_left_out() -> None:
    assert decoded(b"data:  a\n\n", b"data:b\n\n") == [ServerEvent("", " a"), ServerEvent("", "b")]


def test_event_without_data_only_says_that_the_server_is_there() -> None:
    assert decoded(b"data\n\n", b"data:\n\n", b"data: a\n\n") == [ServerEvent("", "a")]


def test_last_event_without_its_end_is_given_as_such() -> None:
    assert decoded(b"data: a\n\ndata: b") == [ServerEvent("", "a"), ServerEvent("", "b", whole=False)]
    assert decoded(b"data: b\n") == [ServerEvent("", "b", whole=False)]


@pytest.mark.parametrize("line", [b"<html>", b"hello world", b'{"a": 1}', b"\xff", b"data : x", b"1: x"])
def test_line_that_is_no_event_is_named(line: bytes) -> None:
    decoder = EventDecoder()
    assert list(decoder.push(b"data: a\n\n"))

    with pytest.raises(SourceError, match=re.escape(repr(line.decode(errors="replace")))):
        list(decoder.push(line + b"\n"))


def test_body_that_is_json_is_one_event() -> None:
    body = b'\n\n  {\n "a":\r\n 1}\n'

    assert [event.data.strip() for event in decoded(body)] == ['{\n "a":\n 1}']


def test_lines_without_data_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST", 100)

    with pytest.raises(SourceError, match="more than"):
        list(EventDecoder().push(b"data:\n" * 101))


def test_event_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST", 100)

    for body in (b"data: " + b"x" * 200, b"data: x\n" * 101, b"{" + b"\n1" * 100 + b"\n"):
        with pytest.raises(SourceError, match="more than"):
            decoded(body)
    assert len(decoded(b"data: 0123456789\n\n" * 100)) == 100
