"""The streamer with a single row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streamfan.errors import UnsupportedDecode
from streamfan.stream import Stream
from tests.support.letters import EOS, EOT, MODEL, Ids, Letters, block, encode, generate, prompt, reasons, step, texts
from tests.support.opener import MemoryFan, ids_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture
def fan() -> MemoryFan:
    return MemoryFan()


def test_text_follows_the_ids_as_they_are_put(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)
    seen = []

    for value in (prompt("prompt"), step("H"), step("é"), step("y")):
        streamer.put(value)
        seen.append(streamer.streams[0].text)

    assert seen == ["", "H", "Hé", "Héy"]


def test_prompt_is_published_unless_it_is_skipped(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters())

    generate(streamer, "xy", prompts=["prompt "])

    assert texts(streamer) == ["prompt xy"]
    assert ids_of(streamer.streams[0]) == encode("prompt xy")


def test_skipped_prompt_leaves_no_ids(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=True)

    generate(streamer, "xy.", prompts=["prompt "])

    assert ids_of(streamer.streams[0]) == encode("xy.")


@pytest.mark.parametrize("skip_prompt", [True, False])
def test_prompt_of_embeddings_has_no_ids(fan: MemoryFan, skip_prompt: bool) -> None:
    streamer = fan.streamer(Letters(), skip_prompt=skip_prompt)

    generate(streamer, "xy", prompts=[""])

    assert texts(streamer) == ["xy"]


def test_start_token_of_a_decoder_is_not_text_of_the_prompt(fan: MemoryFan) -> None:
    model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=True), generation_config=MODEL.generation_config)
    streamer = fan.streamer(Letters(), model=model)

    generate(streamer, "xy", prompts=["<forced"])

    assert texts(streamer) == ["forcedxy"]


def test_several_ids_at_once_are_one_write(fan: MemoryFan, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    write = Stream.write

    def counted(self: Stream, text: str, token_ids: Sequence[int] = ()) -> None:
        writes.append(text)
        write(self, text, token_ids)

    monkeypatch.setattr(Stream, "write", counted)
    streamer = fan.streamer(Letters(), skip_prompt=True)

    for value in (prompt("p"), block("abc"), block("d"), block("ef")):
        streamer.put(value)
    streamer.end()

    assert writes == ["abc", "d", "ef"]


@pytest.mark.parametrize(
    ("generated", "reason"), [("ab.", "stop"), ("ab!", "stop"), ("ab", "length"), ("a.b", "length"), ("", "length")]
)
def test_finish_reason_of_a_single_row_is_told_by_its_last_id(fan: MemoryFan, generated: str, reason: str) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, generated)

    assert reasons(streamer) == [reason]


def test_single_row_loses_nothing_where_generate_knows_another_end_of_sequence(fan: MemoryFan) -> None:
    streamer = fan.streamer(Letters(), model=MODEL, skip_prompt=True)

    generate(streamer, "a.b_c")

    assert texts(streamer) == ["abc"]
    assert ids_of(streamer.streams[0]) == encode("a.b_c")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "stop"),
        ({"model": MODEL}, "stop"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=EOT))}, "length"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=Ids([EOT, EOS])))}, "stop"),
        ({"model": SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None))}, "length"),
        ({"model": MODEL, "eos_token_id": EOT}, "length"),
        ({"eos_token_id": (EOT, EOS)}, "stop"),
    ],
)
def test_end_of_sequence_is_the_argument_else_the_models_else_the_tokenizers(
    fan: MemoryFan, arguments: dict[str, Any], reason: str
) -> None:
    streamer = fan.streamer(Letters(), **arguments)

    generate(streamer, "ab.")

    assert reasons(streamer) == [reason]


def test_decode_arguments_are_those_of_the_tokenizer(fan: MemoryFan) -> None:
    with pytest.raises(UnsupportedDecode, match="nonsense"):
        fan.streamer(Letters(), exact=True, mode="nonsense")


def test_folder_of_the_model_is_told_to_nobody(fan: MemoryFan, tmp_path: Path) -> None:
    names = (str(tmp_path), "somebody/some-model", "", None)

    for name in names:
        streamer = fan.streamer(Letters(), model=SimpleNamespace(name_or_path=name, generation_config=None))
        streamer.put(prompt("p"))
        streamer.end()

    assert [stream.info.model for stream in fan.opened] == [tmp_path.name, "somebody/some-model", None, None]
