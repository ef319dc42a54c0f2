"""The streamer inside the real `generate()`, in every way of decoding that puts tokens, and in those that do not."""

from __future__ import annotations

import signal
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration, TextGenerationPipeline

from streamfan import Fan, StreamFailed
from streamfan.errors import StreamerMisuse
from streamfan.streamer import Streamer
from tests.support.opener import ids_of
from tests.support.scripted import EOS, PAD, Script, encode, model, tokenizer
from tests.support.sinks import MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.stream import Stream

TEXT = "Hé 😀 the fox 日本 didn't\n\n  see"
PROMPTS = ["The fox", "It", "A small owl has found"]


@pytest.fixture
def fan() -> Iterator[Fan]:
    with Fan() as fan:
        yield fan


def inputs(*prompts: str) -> dict[str, torch.Tensor]:
    """The prompts as a batch, padded on the left."""
    encoded = tokenizer()(list(prompts), return_tensors="pt", padding=True, return_token_type_ids=False)
    return dict(encoded)


def generate(streamer: Streamer, *scripts: str, prompts: list[str] | None = None, **kwargs: Any) -> torch.Tensor:
    """Generate the scripts, one for each row; gives all ids, the prompts' too."""
    kwargs.setdefault("max_new_tokens", 60)
    kwargs.setdefault("logits_processor", [Script(*map(encode, scripts))])
    criteria = [streamer.stopping_criteria]
    output: torch.Tensor = model().generate(
        **inputs(*(prompts or PROMPTS[:1])), streamer=streamer, stopping_criteria=criteria, **kwargs
    )
    return output


def generated(row: torch.Tensor, prompt: torch.Tensor | str) -> list[int]:
    """What was generated for a row of the output, up to its end of sequence, without padding."""
    length = len(encode(prompt)) if isinstance(prompt, str) else prompt.shape[-1]
    ids: list[int] = row.tolist()[length:]
    return ids[: ids.index(EOS) + 1] if EOS in ids else ids


def decode(ids: Any, **kwargs: Any) -> str:
    return str(tokenizer().decode(ids, **kwargs))


@cache
def encoder_decoder() -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 8, "d_kv": 8, "d_ff": 8, "num_layers": 1, "num_heads": 1}
    special: dict[str, Any] = {"pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD}
    return T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer()), **sizes, **special))


# Every way of decoding


@pytest.mark.parametrize("skip_special_tokens", [True, False])
@pytest.mark.parametrize("skip_prompt", [True, False])
@pytest.mark.parametrize("do_sample", [True, False])
def test_text_is_what_decode_gives(fan: Fan, do_sample: bool, skip_prompt: bool, skip_special_tokens: bool) -> None:
    with fan.streamer(
        tokenizer(), model=model(), skip_prompt=skip_prompt, skip_special_tokens=skip_special_tokens
    ) as streamer:
        output = generate(streamer, TEXT, do_sample=do_sample)

    (stream,) = streamer.streams
    ids = output[0][len(encode(PROMPTS[0])) :] if skip_prompt else output[0]
    assert stream.text == decode(ids, skip_special_tokens=skip_special_tokens)
    assert TEXT in stream.text
    assert ids_of(stream) == ids.tolist()
    assert stream.finish_reason == "stop"


def test_generation_that_reaches_its_limit_ends_as_length(fan: Fan) -> None:
    with fan.streamer(tokenizer(), model=model(), skip_prompt=True) as streamer:
        output = generate(streamer, TEXT, max_new_tokens=4)

    (stream,) = streamer.streams
    assert stream.text == decode(output[0][-4:])
    assert stream.text.endswith("\ufffd")
    assert stream.finish_reason == "length"


def test_three_rows_of_unequal_length_are_three_streams(fan: Fan) -> None:
    scripts = [TEXT[:4], "x", TEXT]

    with fan.streamer(tokenizer(), model=model(), skip_prompt=True, skip_special_tokens=True) as streamer:
        output = generate(streamer, *scripts, prompts=PROMPTS)

    batch = inputs(*PROMPTS)["input_ids"]
    assert [stream.text for stream in streamer.streams] == scripts
    assert [ids_of(stream) for stream in streamer.streams] == [generated(row, batch) for row in output]
    assert [stream.finish_reason for stream in streamer.streams] == ["stop"] * 3


def test_prompts_of_a_batch_are_shown_without_their_padding(fan: Fan) -> None:
    with fan.streamer(tokenizer(), model=model()) as streamer:
        generate(streamer, " runs", " is", " a map", prompts=PROMPTS)

    assert [stream.text for stream in streamer.streams] == [
        "The fox runs</s>",
        "It is</s>",
        "A small owl has found a map</s>",
    ]


def test_first_end_of_sequence_is_real_where_padding_looks_the_same(fan: Fan) -> None:
    with fan.streamer(tokenizer(), eos_token_id=EOS, pad_token_id=EOS, skip_prompt=True) as streamer:
        generate(streamer, "a", "bcd", prompts=PROMPTS[:2], pad_token_id=EOS)

    assert [ids_of(stream) for stream in streamer.streams] == [[*encode("a"), EOS], [*encode("bcd"), EOS]]


def test_rows_that_a_stop_string_of_generate_ends_hold_no_padding(fan: Fan) -> None:
    with fan.streamer(tokenizer(), model=model(), skip_prompt=True) as streamer:
        generate(
            streamer, "a;b", "river", prompts=PROMPTS[:2], stop_strings=[";"], tokenizer=tokenizer(), max_new_tokens=4
        )

    assert streamer.streams[0].text == "a;"
    assert streamer.streams[0].finish_reason == "stop"


def test_several_sequences_of_one_prompt_are_several_streams(fan: Fan) -> None:
    scripts = ["one", "number two", "3"]

    with fan.streamer(tokenizer(), model=model(), skip_prompt=True, skip_special_tokens=True) as streamer:
        generate(streamer, *scripts, do_sample=True, num_return_sequences=3)

    assert [stream.text for stream in streamer.streams] == scripts
    assert [stream.info.row for stream in streamer.streams] == [0, 1, 2]


@pytest.mark.parametrize("way", ["assistant", "prompt lookup"])
def test_assisted_decoding_puts_several_tokens_at_once(fan: Fan, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"assistant_model": model()} if way == "assistant" else {"prompt_lookup_num_tokens": 3}
    sizes: list[int] = []
    put = Streamer.put

    def measured(self: Streamer, value: torch.Tensor) -> None:
        sizes.append(value.shape[-1])
        put(self, value)

    monkeypatch.setattr(Streamer, "put", measured)

    with fan.streamer(tokenizer(), model=model()) as streamer:
        output = generate(
            streamer, logits_processor=[], prompts=["It It It It"], do_sample=False, max_new_tokens=30, **arguments
        )

    assert max(sizes[1:]) > 1
    assert streamer.streams[0].text == decode(output[0])
    assert ids_of(streamer.streams[0]) == output[0].tolist()


def test_prompt_of_embeddings_shows_nothing_of_itself(fan: Fan) -> None:
    embeddings = model().get_input_embeddings()(inputs("The fox")["input_ids"])

    with fan.streamer(tokenizer(), model=model()) as streamer:
        output = model().generate(
            inputs_embeds=embeddings, streamer=streamer, max_new_tokens=60, logits_processor=[Script(encode(TEXT))]
        )

    assert streamer.streams[0].text == decode(output[0]) == TEXT + "</s>"


def test_character_that_the_prompt_has_begun_is_completed_in_continuation_mode(fan: Fan) -> None:
    (first, *rest) = encode("😀")
    prompt = torch.tensor([[*encode("The"), first]])
    script = [Script([*rest, *encode(" runs")])]

    with fan.streamer(tokenizer(), model=model(), skip_prompt=True, mode="continuation") as streamer:
        model().generate(prompt, streamer=streamer, logits_processor=script, max_new_tokens=60)

    assert streamer.streams[0].text == "😀 runs</s>"


def test_encoder_decoder_shows_what_the_decoder_wrote(fan: Fan) -> None:
    with fan.streamer(tokenizer(), model=encoder_decoder()) as streamer:
        output = encoder_decoder().generate(
            **inputs(*PROMPTS[:2]),
            streamer=streamer,
            max_new_tokens=60,
            logits_processor=[Script(encode(TEXT), encode("x"))],
        )

    assert output[:, 0].tolist() == [PAD, PAD]
    assert [stream.text for stream in streamer.streams] == [TEXT + "</s>", "x</s>"]


def test_pipeline_uses_one_streamer_for_one_prompt_after_the_other(fan: Fan) -> None:
    streams: list[Stream] = []
    streamer = Streamer(fan, tokenizer(), model=model(), on_open=streams.extend)
    make_pipeline: Any = TextGenerationPipeline
    pipeline = make_pipeline(model=model(), tokenizer=tokenizer())

    with streamer:
        results = pipeline(PROMPTS, streamer=streamer, max_new_tokens=5, do_sample=False)

    assert [stream.text for stream in streams] == [result[0]["generated_text"] for result in results]
    assert [stream.finish_reason for stream in streams] == ["length"] * 3


def test_streamer_works_without_with_where_nothing_goes_wrong(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), skip_prompt=True, skip_special_tokens=True)

    for text in ("first", "second"):
        generate(streamer, text)

        assert streamer.streams[0].text == text
        assert streamer.streams[0].finish_reason == "stop"


def test_every_sink_is_given_every_row() -> None:
    sinks = MemorySink(), MemorySink()
    fan = Fan()
    for id, sink in zip("ab", sinks, strict=True):
        fan.add(sink, id=id)

    with fan, fan.streamer(tokenizer(), model=model(), skip_prompt=True, skip_special_tokens=True) as streamer:
        generate(streamer, TEXT, "x", prompts=PROMPTS[:2])

    for sink in sinks:
        assert [sink.text(stream.id) for stream in streamer.streams] == [TEXT, "x"]


# Ways of decoding that put nothing


def beam_sample(streamer: Streamer) -> None:
    generate(streamer, num_beams=2, do_sample=True, logits_processor=[])


def custom_generate(streamer: Streamer) -> None:
    generate(streamer, custom_generate=lambda model, input_ids, **kwargs: input_ids)


@pytest.mark.parametrize("way", [beam_sample, custom_generate])
def test_decoding_that_does_not_stream_ends_its_streams_with_an_error_that_says_so(fan: Fan, way: Any) -> None:
    with (
        pytest.raises(StreamerMisuse, match="num_beams=1"),
        fan.streamer(tokenizer(), model=model(), skip_prompt=True) as streamer,
    ):
        way(streamer)

    with pytest.raises(StreamFailed, match="num_beams=1"):
        list(streamer.streams[0])


# Stopping early


def test_cancelled_generation_returns_the_text_that_was_streamed(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), model=model(), skip_prompt=True)
    script = Script(encode(TEXT * 3), at=lambda count: streamer.streams[0].cancel() if count == 9 else None)

    with streamer:
        output = generate(streamer, logits_processor=[script])

    (stream,) = streamer.streams
    assert ids_of(stream) == generated(output[0], PROMPTS[0])
    assert 9 <= stream.tokens <= 10
    assert stream.finish_reason == "cancelled"


def test_cancelled_row_ends_while_the_others_go_on(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), model=model(), skip_prompt=True)
    seen: list[str | None] = []

    def at(count: int) -> None:
        seen.append(streamer.streams[0].finish_reason)
        if count == 3:
            streamer.streams[0].cancel()

    with streamer:
        output = generate(
            streamer, prompts=PROMPTS[:2], logits_processor=[Script(encode(TEXT * 2), encode(TEXT), at=at)]
        )

    cancelled, other = streamer.streams
    assert ids_of(cancelled) == [id for id in output[0].tolist()[2:] if id != PAD]
    assert 3 <= cancelled.tokens <= 4
    assert seen[5] == "cancelled"
    assert other.text == TEXT + "</s>"


def test_stop_string_ends_generation_and_is_not_shown(fan: Fan) -> None:
    with fan.streamer(tokenizer(), model=model(), stop=["didn't\n"], skip_prompt=True) as streamer:
        output = generate(streamer, TEXT * 2)

    assert streamer.streams[0].text == "Hé 😀 the fox 日本 "
    assert streamer.streams[0].finish_reason == "stop"
    assert output.shape[1] < len(encode(TEXT)) + len(encode(PROMPTS[0]))


# Failures


@pytest.mark.parametrize("step", [0, 4])
def test_failure_in_the_middle_leaves_the_text_so_far_and_the_error(fan: Fan, step: int) -> None:
    script = Script(encode(TEXT), at=lambda count: 1 / 0 if count == step else None)

    with (
        pytest.raises(ZeroDivisionError),
        fan.streamer(tokenizer(), model=model(), skip_prompt=True) as streamer,
    ):
        generate(streamer, logits_processor=[script])

    with pytest.raises(StreamFailed, match="ZeroDivisionError"):
        list(streamer.streams[0])
    # After four steps an emoji has begun, and is never finished.
    assert streamer.streams[0].text == ("Hé " if step else "")


def test_streamer_can_be_used_again_after_a_failure(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), model=model(), skip_prompt=True, skip_special_tokens=True)
    script = Script(encode(TEXT), at=lambda count: 1 / 0 if count == 3 else None)
    with pytest.raises(ZeroDivisionError), streamer:
        generate(streamer, logits_processor=[script])

    with streamer:
        generate(streamer, "again")

    assert streamer.streams[0].text == "again"


def test_reuse_after_a_failure_that_no_with_has_seen_is_an_error_that_says_so(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), model=model(), skip_prompt=True)
    script = Script(encode(TEXT), at=lambda count: 1 / 0 if count == 3 else None)
    with pytest.raises(ZeroDivisionError):
        generate(streamer, logits_processor=[script])

    with pytest.raises(StreamerMisuse, match=r"with fan\.streamer"):
        generate(streamer, "again")

    assert streamer.streams[0].finish_reason == "error"


@pytest.mark.usefixtures("heeding_interrupts")
def test_interrupt_cancels_and_leaves_the_text_so_far(fan: Fan) -> None:
    streamer = fan.streamer(tokenizer(), model=model(), skip_prompt=True)
    script = Script(encode(TEXT), at=lambda count: signal.raise_signal(signal.SIGINT) if count == 2 else None)

    with pytest.raises(KeyboardInterrupt), streamer:
        generate(streamer, logits_processor=[script])

    assert threading.current_thread() is threading.main_thread()
    assert streamer.streams[0].text == decode(encode(TEXT)[:2])
    assert streamer.streams[0].finish_reason == "cancelled"
