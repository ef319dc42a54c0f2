"""However a network cuts the bytes, the text is the same; and whatever the bytes are, it is an outcome."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import SourceError
from streamfan.sources.openai.deltas import Message, read
from streamfan.sources.openai.events import EventDecoder, ServerEvent
from tests.support import dialects
from tests.support.dialects import DIALECTS, HOSTILE, chat, chunk
from tests.support.garbage import GARBAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

BODIES = [*DIALECTS.values(), *(played.body for name, played in HOSTILE.items() if "deep" not in name)]


def outcome(packets: list[bytes]) -> tuple[list[Message], str]:
    """All messages up to an error, and what that says."""
    found: list[Message] = []
    try:
        for event in decoded(packets):
            found.append(read(event.data, type=event.type, whole=event.whole))  # noqa: PERF401 - up to the error
    except SourceError as error:
        return found, str(error)
    return found, ""


def decoded(packets: list[bytes]) -> Iterator[ServerEvent]:
    decoder = EventDecoder()
    for packet in packets:
        yield from decoder.push(packet)
    yield from decoder.finish()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(body=st.sampled_from(BODIES), places=st.lists(st.integers(0, 10_000), max_size=20))
def test_any_split_gives_the_same_messages(body: bytes, places: list[int]) -> None:
    assert outcome(cut(body, places)) == outcome([bytes([byte]) for byte in body])


TEXTS = st.lists(st.text(), max_size=8)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(texts=TEXTS, end=ENDS, places=st.lists(st.integers(0, 10_000), max_size=20))
def test_any_text_comes_out_as_it_went_in(texts: list[str], end: bytes, places: list[int]) -> None:
    # Escaped by JSON, so that the only ends of lines are those of the stream.
    found, error = outcome(cut(chat(*texts).replace(b"\n", end), places))

    assert error == ""
    assert "".join(delta.text for message in found for delta in message.deltas) == "".join(texts)


@given(garbage=GARBAGE, places=st.lists(st.integers(0, 10_000), max_size=5))
def test_garbage_is_an_outcome_like_any_other(garbage: bytes, places: list[int]) -> None:
    found, _ = outcome(cut(dialects.event(chunk("before")) + garbage + b"\n\n" + chat("after"), places))

    assert found[0].deltas[0].text == "before"


# What ends a line ends the data; what begins like an object may be one.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60).filter(
    lambda text: text.strip() != "[DONE]" and not text.lstrip().startswith("{")
)


@given(garbage=WORDS, places=st.lists(st.integers(0, 10_000), max_size=5))
def test_garbage_is_named(garbage: str, places: list[int]) -> None:
    body = dialects.event(chunk("before")) + f"data:  {garbage}\n\n".encode()

    found, error = outcome(cut(body, places))

    assert len(found) == 1
    assert repr(f" {garbage}") in error


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_stream_gives_its_text(name: str) -> None:
    played = HOSTILE[name]
    found, error = outcome([played.body])

    text = "".join(delta.text for message in found for delta in message.deltas if delta.index == 0)
    assert text == played.text
    assert bool(error) == (played.error is not None and name not in {"nothing", "neither"})
