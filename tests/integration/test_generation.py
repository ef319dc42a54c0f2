"""`generate()` in a thread: read while it runs, stopped, interrupted and broken."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from streamfan import Fan, StreamFailed, UsageError
from streamfan.errors import StreamerMisuse
from tests.support.opener import ids_of
from tests.support.scripted import EOS, Script, encode, model, tokenizer
from tests.support.sinks import wait_for
from tests.support.tokenizers import byte_level, fast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan.generation import Generation

TEXT = "Hé 😀 the fox 日本 didn't\n\n  see"
PROMPT = "The fox"


@pytest.fixture
def fan() -> Iterator[Fan]:
    with Fan() as fan:
        yield fan


def start(
    fan: Fan, *scripts: str, inputs: Any = PROMPT, at: Callable[[int], object] = lambda count: None, **kwargs: Any
) -> Generation:
    """Generate the scripts, one for each row."""
    kwargs.setdefault("max_new_tokens", 60)
    kwargs.setdefault("logits_processor", [Script(*map(encode, scripts), at=at)])
    return fan.start(model(), tokenizer(), inputs, **kwargs)


# Reading


def test_text_can_be_read_while_the_model_is_at_work(fan: Fan) -> None:
    read = threading.Event()

    def at(count: int) -> None:
        if count == 3:
            wait_for(read)

    generation = start(fan, TEXT, at=at)
    texts = iter(generation.streams[0])
    first = next(texts)
    read.set()

    assert first
    assert first + "".join(texts) == TEXT
    assert generation.result()[0].tolist() == [*encode(PROMPT), *encode(TEXT), EOS]


async def test_text_can_be_read_with_async_for(fan: Fan) -> None:
    generation = start(fan, TEXT)

    text = "".join([piece async for piece in generation.streams[0]])

    assert text == TEXT
    await asyncio.to_thread(generation.result)


def test_generate_returns_what_the_model_does(fan: Fan) -> None:
    script = [Script(encode(TEXT))]

    output = fan.generate(
        model(), tokenizer(), PROMPT, logits_processor=script, max_new_tokens=60, return_dict_in_generate=True
    )

    assert output.sequences[0].tolist() == [*encode(PROMPT), *encode(TEXT), EOS]


@pytest.mark.parametrize(
    "inputs",
    [
        PROMPT,
        torch.tensor([encode(PROMPT)]),
        {"input_ids": torch.tensor([encode(PROMPT)]), "attention_mask": torch.ones(1, len(encode(PROMPT)))},
        tokenizer()(PROMPT, return_tensors="pt", return_token_type_ids=False),
    ],
    ids=["text", "tensor", "dict", "encoding"],
)
def test_inputs_may_be_text_or_what_a_tokenizer_makes_of_it(fan: Fan, inputs: Any) -> None:
    generation = start(fan, "hello", inputs=inputs)

    assert generation.result()[0].tolist() == [*encode(PROMPT), *encode("hello"), EOS]
    assert generation.streams[0].text == "hello"


def test_token_types_of_a_tokenizer_are_not_given_to_a_model_that_has_none(fan: Fan) -> None:
    typed = fast(byte_level(), model_input_names=["input_ids", "token_type_ids", "attention_mask"])

    generation = fan.start(model(), typed, PROMPT, logits_processor=[Script(encode("hello"))], max_new_tokens=60)

    assert "token_type_ids" in typed(PROMPT)
    assert generation.result()[0].tolist() == [*encode(PROMPT), *encode("hello"), EOS]


def test_prompt_and_special_tokens_are_shown_on_request(fan: Fan) -> None:
    generation = start(fan, "hello", skip_prompt=False, skip_special_tokens=False)

    assert "".join(generation.streams[0]) == "The foxhello</s>"


def test_settings_of_the_call_say_what_ends_a_row(fan: Fan) -> None:
    (end,) = encode(";")
    batch = torch.tensor([encode(PROMPT)] * 2)

    config = copy.deepcopy(model().generation_config)
    config.eos_token_id = end

    by_argument = start(fan, "a;", "bcd;", inputs=batch, eos_token_id=end)
    by_config = start(fan, "a;", "bcd;", inputs=batch, generation_config=config)

    for generation in (by_argument, by_config):
        generation.result()
        assert [ids_of(stream) for stream in generation.streams] == [encode("a;"), encode("bcd;")]
        assert [stream.finish_reason for stream in generation.streams] == ["stop", "stop"]


def test_generates_own_stop_strings_need_no_tokenizer_of_the_caller(fan: Fan) -> None:
    generation = start(fan, "a;b", stop_strings=[";"])

    assert generation.result()[0].tolist() == [*encode(PROMPT), *encode("a;")]


def test_decode_arguments_are_passed_on(fan: Fan) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        start(fan, "hello", decode_kwargs={"mode": "nonsense"})


def test_context_of_the_caller_is_there_in_the_thread(fan: Fan) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    request.set("mine")
    seen = []

    start(fan, "a", at=lambda count: seen.append(request.get())).result()

    assert set(seen) == {"mine"}


# Stopping


def test_cancelled_generation_keeps_its_text_and_returns_it(fan: Fan) -> None:
    reached, cancelled = threading.Event(), threading.Event()

    def at(count: int) -> None:
        if count == 9:
            reached.set()
            wait_for(cancelled)

    generation = start(fan, TEXT * 3, at=at)
    wait_for(reached)
    generation.cancel("enough", by="test")
    cancelled.set()
    output = generation.result()

    (stream,) = generation.streams
    assert stream.outcome is not None
    assert stream.outcome.cancel is not None
    assert (stream.outcome.finish_reason, stream.outcome.cancel.reason) == ("cancelled", "enough")
    assert ids_of(stream) == output[0].tolist()[len(encode(PROMPT)) :]
    assert 9 <= stream.tokens <= 10


def test_generation_can_be_cancelled_before_its_streams_are_open(fan: Fan) -> None:
    cancelled = threading.Event()

    class Waiting:
        """The model, once it has been cancelled."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model(), name)

        def generate(self, **kwargs: Any) -> Any:
            wait_for(cancelled)
            return model().generate(**kwargs)

    generation = fan.start(Waiting(), tokenizer(), PROMPT, logits_processor=[Script(encode(TEXT))], max_new_tokens=60)
    generation.cancel("changed my mind", by="test")
    cancelled.set()
    generation.result()

    assert generation.streams[0].finish_reason == "cancelled"
    assert generation.streams[0].tokens <= 2


def test_criteria_of_the_caller_are_kept(fan: Fan) -> None:
    generation = start(fan, TEXT, stopping_criteria=[lambda input_ids, scores: input_ids.shape[1] >= 6])

    assert generation.result().shape[1] == 6
    assert generation.streams[0].finish_reason == "length"


def test_stop_string_ends_generation(fan: Fan) -> None:
    generation = start(fan, TEXT * 2, stop="fox")

    generation.result()

    assert generation.streams[0].text == "Hé 😀 the "
    assert generation.streams[0].finish_reason == "stop"


def test_result_waits_no_longer_than_it_is_told(fan: Fan) -> None:
    gate = threading.Event()
    generation = start(fan, "hello", at=lambda count: wait_for(gate))

    with pytest.raises(TimeoutError, match="still at work"):
        generation.result(timeout=0.01)
    gate.set()

    assert generation.result()[0].tolist() == [*encode(PROMPT), *encode("hello"), EOS]


@pytest.mark.usefixtures("heeding_interrupts")
def test_interrupt_cancels_and_is_raised_when_the_model_has_stopped(fan: Fan) -> None:
    main = threading.main_thread().ident
    assert main is not None
    waiting, cancelled = threading.Event(), threading.Event()

    def at(count: int) -> None:
        if count == 3:
            wait_for(waiting)
            signal.pthread_kill(main, signal.SIGINT)
            wait_for(cancelled)

    generation = start(fan, TEXT, at=at)
    generation.streams[0].on_cancel(cancelled.set)
    with pytest.raises(KeyboardInterrupt):
        waiting.set()
        generation.result()

    (stream,) = generation.streams
    assert stream.outcome is not None
    assert stream.outcome.cancel is not None
    assert (stream.outcome.finish_reason, stream.outcome.cancel.by) == ("cancelled", "keyboard")
    assert ids_of(stream) == generation.result()[0].tolist()[len(encode(PROMPT)) :]


def test_program_that_is_interrupted_keeps_the_text_so_far() -> None:
    program = """
import json, signal, threading
from streamfan import Fan
from tests.support.scripted import Script, encode, model, tokenizer

signal.signal(signal.SIGINT, signal.default_int_handler)
cancelled = threading.Event()

def at(count):
    if count == 3:
        cancelled.wait(30)

script = [Script(encode("one two three four" * 9), at=at)]
try:
    with Fan() as fan:
        generation = fan.start(model(), tokenizer(), "The fox", logits_processor=script, max_new_tokens=60)
        generation.streams[0].on_cancel(cancelled.set)
        print("ready", flush=True)
        generation.result()
except KeyboardInterrupt:
    stream = generation.streams[0]
    print(json.dumps([stream.text, stream.finish_reason, tokenizer().decode(generation.result()[0])]))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert ready == "ready\n"
    text, reason, whole = json.loads(output)
    assert reason == "cancelled"
    # Where the interrupt came before `result`, the model may have had one more token on its way.
    assert whole.startswith("The fox" + text)
    assert process.returncode == 0


def test_program_that_is_interrupted_while_it_leaves_the_fan_keeps_the_text_so_far() -> None:
    program = """
import json, signal, threading
from streamfan import Fan
from tests.support.scripted import Script, encode, model, tokenizer

signal.signal(signal.SIGINT, signal.default_int_handler)
cancelled = threading.Event()
ends = []

def at(count):
    if count == 3:
        print("ready", flush=True)
        cancelled.wait(30)

script = [Script(encode("one two three four" * 9), at=at)]
try:
    with Fan() as fan:
        fan.add(lambda text, end: ends.append(text))
        generation = fan.start(model(), tokenizer(), "The fox", logits_processor=script, max_new_tokens=60)
        generation.streams[0].on_cancel(cancelled.set)
except KeyboardInterrupt:
    stream = generation.streams[0]
    print(json.dumps([stream.finish_reason, stream.text == "".join(ends), fan.report.sinks[0].complete]))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert ready == "ready\n"
    assert json.loads(output) == ["cancelled", True, 1]


async def test_leaving_a_fan_asynchronously_does_not_hold_up_the_event_loop() -> None:
    gate = threading.Event()

    async with Fan() as fan:
        start(fan, TEXT, at=lambda count: wait_for(gate) if count == 3 else None)
        # While the block waits for the generation; never, if that held up the loop.
        asyncio.get_running_loop().call_soon(gate.set)

    assert gate.is_set()


async def test_task_that_is_cancelled_while_it_leaves_a_fan_cancels_the_generation() -> None:
    reached, cancelled = threading.Event(), threading.Event()
    streams: list[Any] = []

    def at(count: int) -> None:
        if count == 3:
            reached.set()
            wait_for(cancelled)

    async def leave() -> None:
        async with Fan() as fan:
            generation = start(fan, TEXT, at=at)
            streams.extend(generation.streams)
            streams[0].on_cancel(cancelled.set)

    task = asyncio.create_task(leave())
    await asyncio.to_thread(wait_for, reached)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert streams[0].finish_reason == "cancelled"


# Failing


def test_error_of_the_model_ends_the_streams_and_is_raised_by_result(fan: Fan) -> None:
    error = RuntimeError("out of memory")

    def at(count: int) -> None:
        if count == 3:
            raise error

    generation = start(fan, "one two three", at=at)
    seen: list[str] = []

    with pytest.raises(StreamFailed, match="out of memory"):
        seen.extend(generation.streams[0])
    with pytest.raises(RuntimeError) as raised:
        generation.result()

    assert "".join(seen) == tokenizer().decode(encode("one two three")[:3])
    assert raised.value is error


def test_error_before_any_stream_is_open_is_raised_to_who_waits_for_one(fan: Fan) -> None:
    generation = start(fan, TEXT, no_such_argument=1)

    with pytest.raises(ValueError, match="no_such_argument"):
        _ = generation.streams
    with pytest.raises(ValueError, match="no_such_argument"):
        generation.result()


@pytest.mark.parametrize(
    "way", [{"num_beams": 2, "do_sample": True}, {"custom_generate": lambda model, input_ids, **kwargs: input_ids}]
)
def test_decoding_that_does_not_stream_is_an_error_that_says_so(fan: Fan, way: dict[str, Any]) -> None:
    generation = start(fan, logits_processor=[], **way)

    with pytest.raises(StreamFailed, match="num_beams=1"):
        list(generation.streams[0])
    with pytest.raises(StreamerMisuse, match="num_beams=1"):
        generation.result()


def test_leaving_the_fan_waits_for_what_it_has_started() -> None:
    got: list[str] = []
    with Fan(lambda text, _: got.append(text)) as fan:
        start(fan, TEXT)

    assert "".join(got) == TEXT


def test_list_of_prompts_is_a_batch(fan: Fan) -> None:
    generation = start(fan, "one", "two", inputs=["The", "The fox"])

    assert ["".join(stream) for stream in generation.streams] == ["one", "two"]


@pytest.mark.parametrize("inputs", [[{"role": "user", "content": "hi"}], [], 3])
def test_inputs_that_are_none_are_refused_by_name(fan: Fan, inputs: Any) -> None:
    with pytest.raises(UsageError, match=f"inputs are {type(inputs).__name__}"):
        start(fan, TEXT, inputs=inputs)


def test_second_streamer_is_refused(fan: Fan) -> None:
    with pytest.raises(UsageError, match=r"fan\.add"):
        start(fan, TEXT, streamer=object())


def test_fan_that_closes_stops_the_model() -> None:
    gate = threading.Event()
    fan = Fan()
    generation = start(fan, TEXT * 3, at=lambda count: wait_for(gate) if count == 3 else None)
    (stream,) = generation.streams

    fan.close()
    gate.set()

    assert generation.result().shape[1] < len(encode(TEXT * 3))
    assert stream.finish_reason == "error"
