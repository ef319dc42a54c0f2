"""The streamer with several rows: each is a stream, and ends by itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import UsageError
from tests.support.letters import EOS, MODEL, PAD, Letters, block, encode, generate, prompt, reasons, step, texts
from tests.support.opener import MemoryFan, ids_of


@pytest.fixture
def fan() -> MemoryFan:
    return MemoryFan()


def test_each_row_of_a_batch_is_a_stream(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "one.", "three!", "no end")

    assert texts(streamer) == ["one", "three", "no end"]
    assert [stream.info.row for stream in streamer.streams] == [0, 1, 2]


def test_row_ends_at_its_own_end_of_sequence_while_others_go_on(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)
    streamer.put(prompt("p", "p"))

    for value in (step("ax"), step(".y"), step("_z")):
        streamer.put(value)

    assert reasons(streamer) == ["stop", None]
    assert ids_of(streamer.streams[0]) == encode("a.")


def test_first_end_of_sequence_is_real_where_padding_looks_the_same(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), eos_token_id=EOS, pad_token_id=EOS, skip_prompt=True)

    generate(streamer, "a....", "xyz.", "12345")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("a."), encode("xyz."), encode("12345")]
    assert reasons(streamer) == ["stop", "stop", "length"]


def test_row_that_a_criterion_of_the_caller_has_ended_is_padded_too(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "ab", "vwxyz")

    assert ids_of(streamer.streams[0]) == encode("ab")
    assert reasons(streamer) == ["stop", "length"]


def test_padding_that_was_generated_is_kept(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "a__b_.", "vwxyz_")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("a__b_."), encode("vwxyz")]


def test_blocks_of_ids_go_to_their_rows(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    for value in (prompt("p", "p"), block("ab", "xy"), block("._", "z_"), block("__", "!_")):
        streamer.put(value)
    streamer.end()

    assert [ids_of(stream) for stream in streamer.streams] == [encode("ab."), encode("xyz_!")]


def test_padding_on_the_left_of_a_prompt_is_not_published(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL)

    generate(streamer, "x.", "y.", prompts=["__short ", "longer "])

    assert texts(streamer) == ["short x", "longer y"]
    assert ids_of(streamer.streams[0]) == encode("short x.")


@given(
    rows=st.lists(st.text("ab_", max_size=6).map(lambda text: text.rstrip("_") + "."), min_size=2, max_size=4),
    pad_is_eos=st.booleans(),
    in_blocks=st.booleans(),
)
def test_rows_hold_all_their_ids_and_no_padding(rows: list[str], pad_is_eos: bool, in_blocks: bool) -> None:
    streamer = MemoryFan().streamer(Letters(), eos_token_id=EOS, pad_token_id=EOS if pad_is_eos else PAD)
    width = max(map(len, rows))
    padded = [row.ljust(width, "." if pad_is_eos else "_") for row in rows]

    if in_blocks:
        for value in (prompt(*[""] * len(rows)), block(*padded)):
            streamer.put(value)
        streamer.end()
    else:
        generate(streamer, *padded, prompts=[""] * len(rows))

    assert [ids_of(stream) for stream in streamer.streams] == [encode(row) for row in rows]
    assert reasons(streamer) == ["stop"] * len(rows)


def test_several_rows_are_refused_where_nothing_says_what_ends_one(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    with pytest.raises(UsageError, match="model=model"):
        streamer.put(prompt("p", "p"))

    assert fan.opened == []


def test_rows_of_a_model_without_end_of_sequence_have_their_full_length(fan: MemoryFan) -> None:
    config = SimpleNamespace(eos_token_id=None, pad_token_id=None)
    streamer = fan.streamer(Letters(), model=SimpleNamespace(generation_config=config), skip_prompt=True)

    generate(streamer, "ab.", "xyz")

    assert [ids_of(stream) for stream in streamer.streams] == [encode("ab."), encode("xyz")]
    assert reasons(streamer) == ["length", "length"]


def test_open_rows_fail_where_another_cannot_be_opened(fan: MemoryFan, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = fan.open
    monkeypatch.setattr(fan, "open", lambda *, row, **more: opened(row=row, **more) if row < 2 else 1 / 0)
    streamer = fan.streamer(Letters(), model=MODEL)

    with pytest.raises(ZeroDivisionError):
        streamer.put(prompt("p", "p", "p"))

    assert [stream.finish_reason for stream in fan.opened] == ["error", "error"]
