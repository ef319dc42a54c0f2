"""What an archive holds of a generation, while it is written and afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamfan import Chunk, Fan, Permanent, Retryable
from streamfan.events import Cancellation, Fault
from streamfan.testing import play
from streamfan_sqlite import SqliteOptions, SqliteSink
from tests.support import STREAM, check_whole, deliver, ending, found, rows, run, text_of, write

if TYPE_CHECKING:
    from pathlib import Path

AGAIN = replace(STREAM, attempt=8)
OTHER = replace(STREAM, id="b")


def test_row_says_all_that_is_known(sink: SqliteSink, path: Path) -> None:
    stream = replace(STREAM, row=3, meta={"user": "Åda", "prompt": "Tell me"})
    write(sink, stream, "día")
    sink.close(stream, ending(stream, "día", tokens=2, ttft=0.25, meta={"usage": {"total": 5}}))

    (row,) = rows(path, "SELECT * FROM generations")
    assert json.loads(row.pop("meta")) == {"user": "Åda"}
    assert json.loads(row.pop("end_meta")) == {"usage": {"total": 5}}
    assert row == {
        "id": 1,
        "stream": "a",
        "attempt": 7,
        "row": 3,
        "model": "m",
        "started": "2026-11-20T17:23:31.042Z",
        "ended": "2026-11-20T17:23:31.042Z",
        "finish_reason": "stop",
        "prompt": "Tell me",
        "text": "día",
        "bytes": 4,
        "tokens": 2,
        "ttft": 0.25,
        "duration": 1.5,
        "complete": 1,
        "error_type": None,
        "error_message": None,
        "cancelled_by": None,
        "cancel_reason": None,
        "sha256": ending(stream, "día").sha256,
    }
    assert rows(path, "SELECT * FROM pieces") == []


def test_row_says_how_it_failed_or_was_cancelled(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "half")
    # A file's name need not be text.
    fault = Fault("OSError", "no file 'caf\udce9'")
    sink.close(STREAM, ending(STREAM, "half", finish_reason="error", error=fault))
    write(sink, OTHER, "half")
    cancel = Cancellation("enough", "ada")
    sink.close(OTHER, ending(OTHER, "half", finish_reason="cancelled", cancel=cancel))

    sql = "SELECT finish_reason, error_type, error_message, cancelled_by, cancel_reason FROM generations"
    assert [tuple(row.values()) for row in rows(path, sql)] == [
        ("error", "OSError", "no file 'caf\N{REPLACEMENT CHARACTER}'", None, None),
        ("cancelled", None, None, "ada", "enough"),
    ]


def test_text_so_far_is_seen_in_the_view(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "Once\0 ", "upon 語")

    assert rows(path, "SELECT stream, text, finish_reason FROM texts") == [
        {"stream": "a", "text": "Once\0 upon 語", "finish_reason": None}
    ]


def test_words_are_found_in_texts_and_prompts(sink: SqliteSink, path: Path) -> None:
    deliver(sink, replace(STREAM, meta={"prompt": "a story"}), "Once\0upon", " a t", "ime: Größe")
    deliver(sink, OTHER, "something else")

    assert [found(path, words) for words in ("upon", "time", "grosse", "grösse", "GRÖßE", "story", "els")] == [
        ["a"],
        ["a"],
        [],
        [],
        ["a"],
        ["a"],
        [],
    ]
    check_whole(path)


@pytest.mark.parametrize(
    ("search", "words"), [("stems", "run"), ("substrings", '"日本語"'), ("substrings", "unn"), ("words", "runn*")]
)
def test_each_way_to_search_finds_its_own(path: Path, search: str, words: str) -> None:
    options = SqliteOptions.model_validate({"search": search})

    play("she was running 私は日本語を話す", SqliteSink(str(path), options), id="a").raise_for_failures()

    assert found(path, words) == ["a"]


def test_prompt_that_is_no_text_is_kept_as_json(sink: SqliteSink, path: Path) -> None:
    sink.open(replace(STREAM, meta={"prompt": [{"role": "user", "content": "Grüße"}]}))

    assert rows(path, "SELECT prompt, meta FROM generations") == [
        {"prompt": '[{"role":"user","content":"Grüße"}]', "meta": "{}"}
    ]


def test_meta_is_json_that_sqlite_can_read(sink: SqliteSink, path: Path) -> None:
    meta = {"score": float("nan"), "when": STREAM.time, "user": "ada"}
    deliver(sink, replace(STREAM, meta=meta), "text")

    (row,) = rows(path, "SELECT meta, json_extract(meta, '$.user') AS user FROM generations")
    assert json.loads(row["meta"]) == {"score": None, "when": "2026-11-20T17:23:31.042000Z", "user": "ada"}
    assert row["user"] == "ada"


def test_prompt_that_is_not_to_be_stored_is_nowhere(path: Path) -> None:
    with Fan() as fan:
        fan.add(SqliteSink(str(path), SqliteOptions(store_prompt=False)))
        with fan.open(meta={"prompt": "my secret", "user": "ada"}) as stream:
            stream.write("text")

    assert rows(path, "SELECT prompt, meta FROM generations") == [{"prompt": None, "meta": '{"user":"ada"}'}]
    assert b"secret" not in path.read_bytes()


def test_each_attempt_has_a_row(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "old")
    deliver(sink, AGAIN, "new text")

    assert [text_of(path, "a", attempt) for attempt in (7, 8)] == ["old", "new text"]


def test_what_was_killed_is_found_once_the_next_one_connects(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "left be", "hind ")
    assert found(path, "behind") == []

    other = SqliteSink(str(path))
    other.connect()
    other.disconnect()

    assert found(path, "behind") == ["a"]
    # And whoever had not been killed after all goes on.
    sink.write(Chunk(STREAM, 12, b"and found"))
    sink.close(STREAM, ending(STREAM, "left behind and found"))
    assert text_of(path, "a", 7) == "left behind and found"
    assert found(path, "behind found") == ["a"]
    check_whole(path)


def test_two_sinks_may_write_the_same_generation(sink: SqliteSink, path: Path) -> None:
    other = SqliteSink(str(path))
    other.connect()
    for each in (sink, other):
        assert each.open(STREAM) == 0
    other.write(Chunk(STREAM, 0, b"Once "))
    sink.write(Chunk(STREAM, 0, b"Once upon a"))
    other.write(Chunk(STREAM, 5, b"upon"))
    assert (sink.open(STREAM), other.open(STREAM)) == (11, 9)
    other.write(Chunk(STREAM, 9, b" a time"))
    sink.write(Chunk(STREAM, 11, b" time"))
    for each in (sink, other):
        each.close(STREAM, ending(STREAM, "Once upon a time"))
    other.disconnect()

    assert text_of(path, "a", 7) == "Once upon a time"


@pytest.mark.parametrize("gathered", [True, False])
def test_same_attempt_is_gone_on_with(path: Path, gathered: bool) -> None:
    killed, sink = SqliteSink(str(path)), SqliteSink(str(path))
    if not gathered:
        sink.connect()
    killed.connect()
    write(killed, STREAM, "día ", "日")
    killed.disconnect()
    if gathered:
        sink.connect()

    deliver(sink, STREAM, "dí", "a 日本", "語")
    sink.disconnect()

    assert text_of(path, "a", 7) == "día 日本語"
    check_whole(path)


def test_another_text_of_the_same_attempt_is_refused(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "Once upon")
    other = SqliteSink(str(path))
    other.connect()
    other.open(STREAM)

    with pytest.raises(Permanent, match="has another text of attempt 7 at stream 'a'"):
        other.write(Chunk(STREAM, 0, b"Once more, and upon"))
    # What a lane says of it then.
    other.close(STREAM, ending(STREAM, "Once more, and upon", complete=False))
    other.disconnect()

    assert rows(path, "SELECT text, finish_reason FROM texts") == [{"text": "Once upon", "finish_reason": None}]


def test_complete_generation_is_not_changed(sink: SqliteSink, path: Path) -> None:
    deliver(sink, STREAM, "whole")
    before = rows(path, "SELECT * FROM generations")

    deliver(sink, STREAM, "who", "le")
    for longer in (["whole", " and more"], ["whole and more"], ["who", "m"]):
        with pytest.raises(Permanent, match="another text"):
            write(sink, STREAM, *longer)
    write(sink, STREAM, "who")
    with pytest.raises(Permanent, match="another text"):
        sink.close(STREAM, ending(STREAM, "who"))
    write(sink, STREAM, "who")
    sink.close(STREAM, ending(STREAM, "whole", complete=False, finish_reason="cancelled"))

    assert rows(path, "SELECT * FROM generations") == before


def test_incomplete_generation_is_gone_on_with(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "half ")
    sink.close(STREAM, ending(STREAM, "half a text", complete=False))
    assert rows(path, "SELECT complete, text, sha256 FROM generations") == [
        {"complete": 0, "text": "half ", "sha256": ending(STREAM, "half ").sha256}
    ]

    deliver(sink, STREAM, "half a text")

    assert rows(path, "SELECT complete, text FROM generations") == [{"complete": 1, "text": "half a text"}]


def test_text_that_is_not_the_producers_is_refused(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "here")

    with pytest.raises(Permanent, match="has another text of attempt 7 at stream 'a'"):
        sink.close(STREAM, ending(STREAM, "HERE"))

    assert rows(path, "SELECT ended, text FROM generations") == [{"ended": None, "text": ""}]
    assert rows(path, "SELECT text FROM pieces") == [{"text": "here"}]


def test_generation_that_is_deleted_leaves_nothing(sink: SqliteSink, path: Path) -> None:
    deliver(sink, STREAM, "gone")
    write(sink, OTHER, "gone too")

    run(path, "DELETE FROM generations")

    assert rows(path, "SELECT * FROM pieces") == []
    assert found(path, "gone") == []
    check_whole(path)


def test_generation_that_is_deleted_meanwhile_comes_again(sink: SqliteSink, path: Path) -> None:
    write(sink, STREAM, "Once ")
    run(path, "DELETE FROM generations")

    with pytest.raises(Retryable, match="removed"):
        sink.write(Chunk(STREAM, 5, b"upon"))
    with pytest.raises(Retryable, match="removed"):
        sink.close(STREAM, ending(STREAM, "Once "))

    assert sink.open(STREAM) == 0


def test_index_survives_a_vacuum(sink: SqliteSink, path: Path) -> None:
    for id in ("one", "two", "three"):
        deliver(sink, replace(STREAM, id=id), f"the text of {id}")

    run(path, "DELETE FROM generations WHERE stream = 'one'", "VACUUM")

    assert (found(path, "three"), found(path, "one")) == (["three"], [])
    check_whole(path)


def test_a_piece_costs_the_same_however_long_its_text_is(sink: SqliteSink, path: Path) -> None:
    def pages(times: int) -> int:
        """Pages written, of 4 KiB; the file has no other ones than those of the log."""
        run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        for _ in range(times):
            sink.write(Chunk(STREAM, sink.open(STREAM), b"a piece of text, "))
        return path.with_name("archive.db-wal").stat().st_size // 4096

    sink.open(STREAM)
    run(path, "PRAGMA wal_autocheckpoint = 0")
    few = pages(50)
    for _ in range(20):
        sink.write(Chunk(STREAM, sink.open(STREAM), b"x" * 60_000))

    assert pages(50) <= 2 * few
