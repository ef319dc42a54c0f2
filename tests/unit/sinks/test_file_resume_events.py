from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamfan.errors import Permanent
from streamfan.events import Chunk, End, Event, Gap, Start, StreamInfo, Text, encode
from streamfan.sinks.file import FileOptions, FileSink, records
from tests.support.deliveries import chunks, deliver, ending
from tests.support.files import JSONL, connected, events_of, text_of
from tests.support.limits import largest_file
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")

RESUME = FileOptions(mode="resume", format="jsonl")
STREAM = info("s")


def pieces(*texts: str, ids: bool = True, stream: StreamInfo = STREAM) -> list[Chunk]:
    """Chunks of these texts, with one token id for each character that ends there: its index."""
    made, known = [], 0
    for chunk in chunks(stream, *texts):
        made.append(replace(chunk, token_ids=tuple(range(known, known + len(chunk.text))) if ids else ()))
        known += len(chunk.text)
    return made


def deliver_all(sink: FileSink, *texts: str, ids: bool = True, stream: StreamInfo = STREAM) -> None:
    sink.open(stream)
    for chunk in pieces(*texts, ids=ids, stream=stream):
        sink.write(chunk)
    sink.close(stream, ending(stream, "".join(texts)))


def run(options: FileOptions, *texts: str, stream: StreamInfo = STREAM) -> None:
    """Deliver one stream in a run of its own."""
    sink = connected("a.jsonl", options)
    try:
        deliver_all(sink, *texts, stream=stream)
    finally:
        sink.disconnect()


def text_events(path: str = "a.jsonl") -> list[Text]:
    return [event for event in events_of(path) if isinstance(event, Text)]


def types(path: str = "a.jsonl") -> list[str]:
    return [event.type for event in events_of(path)]


def recording(*events: Event, path: str = "a.jsonl") -> None:
    Path(path).write_bytes(b"".join(encode(event) + b"\n" for event in events))


@pytest.fixture
def whole() -> bytes:
    """The file of a run that nothing happened to."""
    run(JSONL, "Hel", "lo wör", "ld 日本")
    return Path("a.jsonl").read_bytes()


@pytest.mark.parametrize("share", range(0, 101, 4))
def test_events_go_on_where_the_file_was_cut_even_within_a_line(whole: bytes, share: int) -> None:
    Path("a.jsonl").write_bytes(whole[: len(whole) * share // 100])

    run(RESUME, "Hell", "o", " wörld 日", "本")

    texts = text_events()
    assert "".join(event.text for event in texts) == "Hello wörld 日本"
    assert [event.offset for event in texts] == [0, *(event.end for event in texts)][:-1]
    assert [id for event in texts for id in event.token_ids] == list(range(14))
    assert types() == ["start", *["text"] * len(texts), "end"]


def test_whole_recording_stays_as_it_is(whole: bytes) -> None:
    run(RESUME, "Hello wörld 日本")

    assert Path("a.jsonl").read_bytes() == whole


def test_event_that_lacks_only_its_newline_is_kept(whole: bytes) -> None:
    Path("a.jsonl").write_bytes(whole.rstrip(b"\n"))

    run(RESUME, "Hello wörld 日本")

    assert Path("a.jsonl").read_bytes() == whole.rstrip(b"\n")


def test_unfinished_line_of_somebody_else_is_kept() -> None:
    Path("a.jsonl").write_text("notes of mine")

    run(RESUME, "text")

    notes, *events = Path("a.jsonl").read_text().splitlines()
    assert (notes, len(events)) == ("notes of mine", 3)


def test_long_line_of_somebody_else_is_passed_over_in_pieces(whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_LINE", 2 * max(map(len, whole.splitlines())))
    path = Path("a.jsonl")
    foreign = b"x" * 3000 + b'{"v":1,"type":"text"'
    path.write_bytes(foreign + b"\n" + whole)

    run(RESUME, "Hello wörld 日本")
    path.write_bytes(path.read_bytes() + foreign)
    run(RESUME, "Hello wörld 日本")

    assert path.read_bytes() == foreign + b"\n" + whole + foreign


def test_streams_that_were_written_at_a_time_go_on_each_from_its_place() -> None:
    first, second = info("a"), info("b")
    recording(
        Start.of(first),
        Start.of(second),
        *map(Text.of, pieces("1", stream=second)),
        *map(Text.of, pieces("x", "y", stream=first)),
    )
    sink = connected("a.jsonl", RESUME)

    for stream, text in ((first, "xyz"), (second, "123")):
        deliver_all(sink, text, stream=stream)

    def text_of_stream(id: str) -> str:
        return "".join(event.text for event in text_events() if event.stream == id)

    assert (text_of_stream("a"), text_of_stream("b")) == ("xyz", "123")
    assert sorted(types()) == ["end", "end", "start", "start", *["text"] * 5]


def test_another_attempt_is_another_text() -> None:
    run(RESUME, "first")
    before = text_of("a.jsonl")

    run(RESUME, "second", stream=info("s"))

    assert text_of("a.jsonl").startswith(before)
    assert types() == ["start", "text", "end", "start", "text", "end"]


def test_recording_of_another_text_is_refused_where_it_differs_and_left_as_it_is() -> None:
    recording(Start.of(STREAM), *map(Text.of, pieces("Hello", " wörks")))
    before = text_of("a.jsonl")

    with pytest.raises(Permanent, match=r"'a\.jsonl' cannot be resumed: from byte 10 of stream 's' on it differs"):
        run(RESUME, "Hello wörld")

    assert text_of("a.jsonl") == before


@pytest.mark.parametrize(("text", "position"), [("Hello wörld!", 12), ("Hello", 5)])
def test_recording_of_a_longer_or_a_shorter_text_is_refused(text: str, position: int) -> None:
    run(JSONL, "Hello wörld")
    before = text_of("a.jsonl")

    with pytest.raises(Permanent, match=f"from byte {position} of stream 's' on it differs"):
        run(RESUME, text)

    assert text_of("a.jsonl") == before


def test_generation_that_is_cut_short_before_what_is_there_writes_no_end() -> None:
    recording(Start.of(STREAM), *map(Text.of, pieces("Hello wörld")))
    before = text_of("a.jsonl")
    sink = connected("a.jsonl", RESUME)

    sink.open(STREAM)
    sink.close(STREAM, replace(ending(STREAM, "Hello"), finish_reason="cancelled"))

    assert text_of("a.jsonl") == before


def test_end_with_another_sha256_is_refused() -> None:
    recording(Start.of(STREAM), *map(Text.of, pieces("text")), replace(ending(STREAM, "text"), sha256="0" * 64))

    with pytest.raises(Permanent, match="its sha256 of stream 's' is another one"):
        run(RESUME, "text")


def test_end_that_came_before_the_text_was_whole_is_followed_by_another() -> None:
    short = replace(ending(STREAM, "Hello wörld"), complete=False)
    recording(Start.of(STREAM), *map(Text.of, pieces("Hello")), short)

    run(RESUME, "Hello wörld")

    assert types() == ["start", "text", "end", "text", "end"]
    assert isinstance(end := events_of("a.jsonl")[-1], End)
    assert end.complete


@pytest.mark.parametrize(
    "events",
    [[Gap(stream="s", attempt=STREAM.attempt, offset=0, end=5)], list(map(Text.of, pieces("Hello", " wörld")[1:]))],
)
def test_recording_with_a_gap_is_refused(events: list[Event]) -> None:
    recording(Start.of(STREAM), *events)

    with pytest.raises(Permanent, match=r"'a\.jsonl' cannot be resumed: it lacks text, from byte 0 to byte 5"):
        connected("a.jsonl", RESUME).open(STREAM)


def test_recording_without_token_ids_gets_only_those_of_what_it_lacks() -> None:
    recording(Start.of(STREAM), *(Text.of(chunk, token_ids=False) for chunk in pieces("Hel")))

    run(RESUME, "Hel", "lo")

    assert [event.token_ids for event in text_events()] == [(), (3, 4)]


def test_piece_that_the_disk_has_no_room_for_is_cut_in_the_same_place_again() -> None:
    recording(Start.of(STREAM), *map(Text.of, pieces("Hel")))
    sink = connected("a.jsonl", RESUME)
    first, second = pieces("Hello", " wörld")
    sink.open(STREAM)

    with largest_file(Path("a.jsonl").stat().st_size + 20), pytest.raises(Permanent):
        sink.write(first)
    held = sink.open(STREAM)
    sink.write(first)
    sink.write(second)

    assert held == 0
    assert [(event.text, event.token_ids) for event in text_events()] == [
        ("Hel", (0, 1, 2)),
        ("lo", (3, 4)),
        (" wörld", (5, 6, 7, 8, 9, 10)),
    ]


def test_stream_of_which_there_is_nothing_is_written_whole() -> None:
    deliver(connected("{stream}.jsonl", RESUME), "text", stream=STREAM)

    assert types("s.jsonl") == ["start", "text", "end"]
