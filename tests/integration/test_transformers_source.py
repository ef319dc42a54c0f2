"""The transformers source, with models in folders: all made here, and tiny."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config
from transformers.utils import logging as transformers_logging

from streamfan import Chunk, Fan, Sink, demo
from streamfan.errors import MissingExtra, SourceError, UsageError
from streamfan.plugins import plugins
from streamfan.source import Message, Request
from streamfan.sources.generating import TransformersOptions, settings
from streamfan.sources.prompts import encode
from streamfan.sources.transformers import TransformersSource
from tests.support.opener import MemoryFan, ids_of
from tests.support.tokenizers import byte_fallback, byte_level, fast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamfan.report import StreamReport
    from streamfan.stream import Stream

    Folder = Callable[..., Path]

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Makes a folder with a random model that has these words only; more arguments are settings of its own."""

    def make(
        *words: str, tokenizer: PreTrainedTokenizerFast | None = None, positions: int = 512, **settings: Any
    ) -> Path:
        tokenizer = tokenizer or fast(byte_level())
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        heads: dict[str, Any] = {"num_attention_heads": 1, "max_position_embeddings": positions}
        model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads))
        known = {id for word in words for id in tokenizer.encode(word, add_special_tokens=False)}
        others = [id for id in range(len(tokenizer)) if id not in known]
        model.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
        # By hand: the settings of many a published model could not be saved today.
        settings = {"suppress_tokens": others, "pad_token_id": 0, **settings}
        (tmp_path / "model" / "generation_config.json").write_text(json.dumps(settings))
        return tmp_path / "model"

    return make


def request(folder: Path | str | None, prompt: str | None = "The fox", **settings: Any) -> Request:
    return Request(prompt=prompt, model=None if folder is None else str(folder), **settings)


def run(wanted: Request, fan: MemoryFan | None = None) -> Stream:
    """The stream that a run publishes."""
    source, fan = TransformersSource(), fan or MemoryFan()
    source.load(wanted)
    source.run(cast("Fan", fan), wanted)
    (stream,) = fan.opened
    return stream


def load(wanted: Request, **options: Any) -> None:
    TransformersSource(None, TransformersOptions(**options)).load(wanted)


def run_all(wanted: Request, **options: Any) -> list[tuple[Stream, StreamReport]]:
    """The streams of a run with a real fan, in the order of their opening, and their reports."""
    source, finished = TransformersSource(None, TransformersOptions(**options)), {}
    source.load(wanted)
    with Fan() as fan:
        fan.observe(lambda stream, report: finished.update({stream.info.row: (stream, report)}))
        source.run(fan, wanted)
    return [finished[row] for row in sorted(finished)]


# What is generated


def test_source_is_found_by_its_name() -> None:
    assert plugins().source("transformers") is TransformersSource


def test_answer_is_published_and_the_prompt_is_not(folder: Folder) -> None:
    stream = run(request(folder("a"), max_new_tokens=3))

    assert stream.text == "a" * 3
    assert ids_of(stream) == fast(byte_level()).encode("aaa", add_special_tokens=False)


def test_text_after_the_prompt_begins_with_its_space(folder: Folder) -> None:
    tokenizer = fast(byte_fallback())
    model = folder("▁the", tokenizer=tokenizer)

    stream = run(request(model, "The", max_new_tokens=4))

    prompt: list[int] = tokenizer("The").input_ids
    assert stream.text.startswith(" ")
    assert tokenizer.decode([*prompt, *ids_of(stream)]) == f"{tokenizer.decode(prompt)}{stream.text}"


def test_bundled_model_is_used_unless_there_is_another(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATH", folder("a"))

    stream = run(request(None, max_new_tokens=2))

    assert stream.text == "aa"


def test_target_of_the_source_is_a_model(folder: Folder) -> None:
    source, fan = TransformersSource(str(folder("a"))), MemoryFan()
    wanted = request(None, max_new_tokens=2)

    source.load(wanted)
    source.run(cast("Fan", fan), wanted)

    assert fan.opened[0].text == "aa"


def test_256_tokens_are_generated_unless_asked_otherwise(folder: Folder) -> None:
    stream = run(request(folder("a")))

    assert stream.text == "a" * 256
    assert stream.finish_reason == "length"


def test_generation_ends_where_the_model_has_no_more_positions(folder: Folder) -> None:
    stream = run(request(folder("a", positions=8), "xyz"))

    assert stream.text == "a" * 5
    assert stream.finish_reason == "length"


def test_settings_of_the_model_are_kept_but_for_beams(folder: Folder) -> None:
    model = folder("a", num_beams=3, max_length=4, temperature=0.5)

    assert run(request(model, max_new_tokens=6)).text == "a" * 6


def test_same_seed_gives_the_same_text(folder: Folder) -> None:
    model = folder("abcdefgh", do_sample=True)

    texts = [run(request(model, seed=seed, max_new_tokens=30)).text for seed in (1, 2, 1, -1, 2**64 + 1)]

    assert texts[0] == texts[2] == texts[4]
    assert len(set(texts)) == 3


def test_temperature_zero_is_greedy(folder: Folder) -> None:
    model = folder("abcdefgh", do_sample=True)

    first, second = (run(request(model, seed=seed, temperature=0, max_new_tokens=30)).text for seed in (1, 2))

    assert len(first) == 30
    assert first == second


def test_temperature_above_zero_samples(folder: Folder) -> None:
    model = folder("abcdefgh")

    texts = {run(request(model, seed=seed, temperature=1.0, max_new_tokens=30)).text for seed in (1, 2)}

    assert len(texts) == 2


def test_stop_string_ends_the_answer(folder: Folder) -> None:
    stream = run(request(folder("a"), stop=("aaa",)))

    assert stream.text == ""
    assert stream.finish_reason == "stop"
    assert stream.tokens == 3


def test_chat_goes_through_the_template_of_the_model(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = fast(byte_level(), chat_template=TEMPLATE)
    model = folder("a", tokenizer=tokenizer)
    prompts: list[str] = []
    generate = LlamaForCausalLM.generate

    def recording(self: Any, **kwargs: Any) -> Any:
        prompts.append(str(tokenizer.decode(kwargs["input_ids"][0])))
        return generate(self, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "generate", recording)

    for chat in (True, False):
        run(request(model, "The fox", chat=chat, max_new_tokens=2))

    assert prompts == ["<s>user: The fox</s><s>", "The fox"]


@pytest.mark.parametrize(
    ("asked", "options", "expected"),
    [
        ({}, {}, {}),
        ({"temperature": 0}, {"top_p": 0.5}, {"do_sample": False}),
        ({}, {"top_p": 0.5, "top_k": 7}, {"do_sample": True, "top_p": 0.5, "top_k": 7}),
        ({"temperature": 2.0}, {"top_k": 0}, {"do_sample": True, "temperature": 2.0, "top_k": 0}),
        ({}, {"repetition_penalty": 1.5, "num_return_sequences": 3},
         {"repetition_penalty": 1.5, "num_return_sequences": 3}),
        ({}, {"generate": {"max_new_tokens": 3, "min_p": 0.1}}, {"max_new_tokens": 3, "min_p": 0.1}),
    ],
)  # fmt: skip
def test_options_become_arguments_of_generate(
    asked: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = settings(Request(prompt="x", **asked), TransformersOptions(**options), 9)

    assert found == {"max_new_tokens": 9, "num_beams": 1, **expected}


def test_options_reach_the_model(folder: Folder) -> None:
    model = folder("abc", do_sample=True)

    ((stream, _),) = run_all(request(model, max_new_tokens=5), top_k=1, generate={"max_new_tokens": 3})

    assert stream.tokens == 3


def test_dtype_and_device_are_those_that_were_asked_for(folder: Folder) -> None:
    source = TransformersSource(None, TransformersOptions.model_validate({"dtype": "bfloat16", "device": "meta"}))

    source.load(request(folder("a")))

    assert (source._model.dtype, source._model.device.type) == (torch.bfloat16, "meta")


# Several streams

PROMPTS = ((1, "The fox"), (4, "A small owl reads"), (5, "x"))


@pytest.mark.parametrize("continuous", [False, True], ids=["batch", "continuous"])
def test_each_prompt_becomes_the_stream_that_it_becomes_alone(folder: Folder, continuous: bool) -> None:
    model = folder("abcdefgh")
    alone = [run_all(request(model, text, max_new_tokens=20))[0][0].text for _, text in PROMPTS]

    found = run_all(request(model, None, prompts=PROMPTS, max_new_tokens=20), continuous=continuous)

    assert [stream.text for stream, _ in found] == alone
    assert [stream.id.rpartition("-")[2] for stream, _ in found] == ["1", "4", "5"]
    assert len({stream.id.rpartition("-")[0] for stream, _ in found}) == 1
    assert [stream.info.meta for stream, _ in found] == [{"line": 1}, {"line": 4}, {"line": 5}]
    assert [report.tokens for _, report in found] == [stream.info.max_tokens for stream, _ in found] == [20] * 3
    assert {report.finish_reason for _, report in found} == {"length"}


@pytest.mark.parametrize("continuous", [False, True], ids=["batch", "continuous"])
def test_each_sequence_of_a_prompt_is_a_stream(folder: Folder, continuous: bool) -> None:
    wanted = request(folder("abcdefgh"), None, prompts=PROMPTS[:2], max_new_tokens=20, temperature=1.0, seed=3)

    found = run_all(wanted, num_return_sequences=2, continuous=continuous)

    assert ["-".join(stream.id.split("-")[3:]) for stream, _ in found] == ["1-1", "1-2", "4-1", "4-2"]
    assert [stream.info.meta for stream, _ in found][1] == {"line": 1, "sequence": 2}
    assert len({stream.text for stream, _ in found}) == 4


@pytest.mark.parametrize("continuous", [False, True], ids=["batch", "continuous"])
def test_stop_string_ends_one_of_several(folder: Folder, continuous: bool) -> None:
    model = folder("abcdefgh")
    first, second, _ = (run_all(request(model, text, max_new_tokens=20))[0][0].text for _, text in PROMPTS)
    stop = next(first[at : at + 4] for at in range(16) if first[at : at + 4] not in second)

    found = run_all(request(model, None, prompts=PROMPTS[:2], max_new_tokens=20, stop=(stop,)), continuous=continuous)

    assert [stream.text for stream, _ in found] == [first[: first.index(stop)], second]
    assert [report.finish_reason for _, report in found] == ["stop", "length"]


def test_one_of_several_requests_can_be_cancelled(folder: Folder) -> None:
    source = TransformersSource(None, TransformersOptions.model_validate({"continuous": True}))
    wanted = request(folder("a"), None, prompts=PROMPTS[:2], max_new_tokens=200)
    source.load(wanted)

    class Enough(Sink):
        name = "enough"

        def write(self, chunk: Chunk) -> None:
            if chunk.stream.row == 0:
                chunk.stream.cancel("enough", by="me")

    with Fan(Enough()) as fan:
        source.run(fan, wanted)

    first, second = sorted(fan.report.streams, key=lambda each: each.row)
    assert (first.finish_reason, first.cancelled) == ("cancelled", "'enough', by me")
    assert first.tokens in range(200)
    assert (second.finish_reason, second.tokens) == ("length", 200)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_continuous_batching_that_fails_ends_its_streams_with_the_error(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(LlamaForCausalLM, "forward", broken)

    found = run_all(request(folder("a"), None, prompts=PROMPTS[:2]), continuous=True)

    assert [report.finish_reason for _, report in found] == ["error", "error"]
    assert all("out of memory" in str(report.error) for _, report in found)


def test_assistant_guesses_ahead_and_changes_nothing(folder: Folder) -> None:
    model = folder("abcdefgh")
    alone = run(request(model, max_new_tokens=20)).text

    ((stream, _),) = run_all(request(model, max_new_tokens=20), assistant=str(model))

    assert stream.text == alone
    assert len(list(stream.chunks())) < 20, "several tokens come at once"


def test_conversation_goes_through_the_template_of_the_model(folder: Folder) -> None:
    tokenizer = fast(byte_level(), chat_template=TEMPLATE)
    said = (Message("system", "Be kind"), Message("user", "Hi"), Message("assistant", "Yes"), Message("user", "Why"))
    wanted = request(folder("a", tokenizer=tokenizer), None, messages=said, max_new_tokens=2)
    source, fan = TransformersSource(), MemoryFan()

    source.load(replace(wanted, messages=()))
    source.run(cast("Fan", fan), wanted)

    (prompt,) = encode(wanted, tokenizer, "model")
    text = "<s>system: Be kind</s><s>user: Hi</s><s>assistant: Yes</s><s>user: Why</s><s>"
    assert tokenizer.decode([*prompt.ids]) == text
    assert fan.opened[0].text == "aa"
    assert fan.opened[0].info.max_tokens == 2


def test_conversation_is_refused_where_it_cannot_be_held(folder: Folder) -> None:
    with pytest.raises(UsageError, match="no chat template\nTry: a chat model"):
        load(request(folder("a"), None, messages=()))
    model = folder("a", tokenizer=fast(byte_level(), chat_template=TEMPLATE), positions=4)
    with pytest.raises(UsageError, match=r"the conversation is \d+ tokens long"):
        load(request(model, None, messages=(Message("user", "far too much to say"),)))


# How it ends


def test_cancelled_run_stops_within_two_tokens(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    fan, calls = MemoryFan(), 0
    forward = LlamaForCausalLM.forward

    def cancelled_at_the_third(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            fan.opened[0].cancel()
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", cancelled_at_the_third)

    stream = run(request(folder("a")), fan)

    assert stream.finish_reason == "cancelled"
    assert 2 <= stream.tokens <= 4


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit("out of memory")], ids=repr)
def test_model_that_fails_ends_its_stream_with_the_error(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(LlamaForCausalLM, "forward", broken)

    stream = run(request(folder("a")))

    assert stream.outcome is not None
    assert stream.outcome.error is not None
    assert stream.outcome.error.message == "out of memory"


def test_model_that_fails_before_any_stream_is_open_is_a_source_error(folder: Folder) -> None:
    with pytest.raises(SourceError, match="max_new_tokens"):
        run(request(folder("a"), max_new_tokens=0))


# What is refused


@pytest.mark.parametrize("prompt", [None, "", "\udcff"])
def test_prompt_that_is_no_text_is_refused(folder: Folder, prompt: str | None) -> None:
    with pytest.raises(UsageError, match="prompt"):
        load(request(folder("a"), prompt))


def test_prompt_that_is_too_long_is_refused_with_both_numbers(folder: Folder) -> None:
    with pytest.raises(UsageError, match=r"8 tokens long.*fewer than 8"):
        load(request(folder("a", positions=8), "x" * 8))


def test_chat_is_refused_where_the_model_has_no_template(folder: Folder) -> None:
    with pytest.raises(UsageError, match="no chat template"):
        load(request(folder("a"), chat=True))


def test_template_that_fails_is_a_clear_error(folder: Folder) -> None:
    tokenizer = fast(byte_level(), chat_template="{{ raise_exception('no user messages here') }}")

    with pytest.raises(SourceError, match="no user messages here"):
        load(request(folder("a", tokenizer=tokenizer), chat=True))


def test_two_different_models_are_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="two models"):
        TransformersSource("somebody/some-model").load(request(folder("a")))


def test_folder_that_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"'\./no-such-folder' does not exist"):
        load(request("./no-such-folder"))


def test_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()

    with pytest.raises(UsageError, match="is a file"):
        load(request(tmp_path / "model.gguf"))


def test_folder_without_a_model_is_refused_for_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        load(request(tmp_path))


def test_model_that_is_nowhere_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match="'nobody/no-such-model' is no folder here"):
        load(request("nobody/no-such-model"))


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def with_broken_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"garbage")


def with_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def of_another_kind(folder: Path) -> None:
    T5Config().save_pretrained(folder)


@pytest.mark.parametrize(
    "spoil", [without_tokenizer, without_weights, with_broken_weights, with_broken_config, of_another_kind]
)
def test_folder_that_cannot_be_loaded_is_one_clear_error(folder: Folder, spoil: Callable[[Path], None]) -> None:
    model = folder("a")
    spoil(model)

    with pytest.raises(SourceError) as raised:
        load(request(model))

    what, hint = str(raised.value).splitlines()
    assert what.startswith(f"model folder {str(model)!r} cannot be loaded: ")
    assert hint.startswith("Try: ")


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_missing_extra_is_told_with_what_installs_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    model = folder("a")
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=rf"needs {package}(.|\n)*pip install 'streamfan\[hf\]'"):
        load(request(model))


def test_assistant_for_several_streams_is_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="one stream at a time"):
        load(request(folder("a")), assistant="x", num_return_sequences=2)


def test_penalty_that_continuous_batching_does_not_know_is_refused(folder: Folder) -> None:
    with pytest.raises(UsageError, match="repetition_penalty"):
        load(request(folder("a")), continuous=True, repetition_penalty=1.5)


def test_prompt_that_is_too_long_is_named_by_its_line(folder: Folder) -> None:
    with pytest.raises(UsageError, match="the prompt in line 7 is 8 tokens long"):
        load(request(folder("a", positions=8), None, prompts=((2, "x"), (7, "x" * 8))))


# What is said


def test_nothing_is_said_while_loading_and_generating(folder: Folder) -> None:
    model = folder("a", num_beams=3, max_length=4, temperature=0.5)
    program = """
import sys
from typing import cast
from streamfan.source import Request
from streamfan.sources.generating import TransformersOptions, settings
from streamfan.sources.transformers import TransformersSource
from tests.support.opener import MemoryFan

source, fan, request = TransformersSource(), MemoryFan(), Request(prompt="x", model=sys.argv[1], max_new_tokens=3)
source.load(request)
source.run(fan, request)
sys.stdout.write(fan.opened[0].text)
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(model)], capture_output=True, text=True, timeout=50, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "aaa", "")


def test_settings_of_the_program_are_left_as_they_were(folder: Folder) -> None:
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    before = [logger.level for logger in loggers]

    run(request(folder("a"), max_new_tokens=2))

    assert [logger.level for logger in loggers] == before
    assert cast("Any", transformers_logging).is_progress_bar_enabled()
