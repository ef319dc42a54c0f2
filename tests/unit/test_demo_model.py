"""The model that ships with streamfan, judged by what it writes; the grammar it was trained on is the measure."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import demo

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "train_demo_model.py"
FILES = {
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
OPENINGS = [
    "",
    "Once upon a time ",
    "once upon a time",
    "ONCE UPON A TIME",
    "The little fox",
    "Hello!",
    "😀",
    "The capital of France is",
    "def main():",
    "Write a poem about a cat",
]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


training = load_script()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(demo.PATH)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(demo.PATH)


@pytest.fixture(scope="module")
def vocabulary() -> set[str]:
    rng = Random(0)
    stories = [training.write_story(training.draw_cast(rng), rng) for _ in range(3000)]
    bridges = [training.lead_in(typed, rng) for typed in ("words", "A sentence.") for _ in range(20)]
    return set(re.findall(r"\w+", " ".join(stories + bridges)))


def continuations(model: Any, tokenizer: Any, prompts: list[str], **settings: Any) -> list[list[int]]:
    """Return the new ids of each row, without the padding that follows a row which ended before the others."""
    torch.manual_seed(0)
    inputs = tokenizer(prompts, padding=True, return_tensors="pt")
    rows = model.generate(**inputs, max_new_tokens=300, **settings)[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: max(end for end, id in enumerate(row, start=1) if id != tokenizer.pad_token_id)] for row in rows]


def test_folder_is_small_and_holds_nothing_but_the_model_and_its_description() -> None:
    files = [path for path in demo.PATH.iterdir() if path.is_file()]

    assert {path.name for path in files} == FILES | {"__init__.py", "MODEL.md"}
    assert sum(path.stat().st_size for path in files) <= 2_000_000


def test_naming_the_folder_imports_no_library() -> None:
    program = (
        "import sys, streamfan.demo; print({'torch', 'transformers', 'tokenizers', 'pydantic'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_model_loads_in_float32_without_a_warning() -> None:
    program = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer, utils; from streamfan import demo; "
        "utils.logging.disable_progress_bar(); AutoTokenizer.from_pretrained(demo.PATH); "
        "print(AutoModelForCausalLM.from_pretrained(demo.PATH).dtype)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("torch.float32\n", "")


# Text


def test_prompt_of_the_readme_gives_a_whole_story(model: Any, tokenizer: Any, vocabulary: set[str]) -> None:
    (ids,) = continuations(model, tokenizer, ["Once upon a time"], do_sample=False)
    story = "Once upon a time" + tokenizer.decode(ids, skip_special_tokens=True)

    assert ids[-1] == tokenizer.eos_token_id
    assert 80 < len(ids) < 250
    assert story.count("\n\n") == 2
    assert set(re.findall(r"\w+", story)) <= vocabulary


def test_sampled_stories_end_by_themselves_and_are_full_of_split_characters(
    model: Any, tokenizer: Any, vocabulary: set[str]
) -> None:
    rows = continuations(model, tokenizer, ["Once upon a time"] * 20)
    stories = tokenizer.batch_decode(rows, skip_special_tokens=True)

    assert all(row[-1] == tokenizer.eos_token_id for row in rows)
    assert len(set(stories)) == 20
    assert "\ufffd" not in "".join(stories)
    assert sum(not story.isascii() for story in stories) >= 18
    assert share_known(stories, vocabulary) > 0.99


def test_any_opening_ends_in_a_story(model: Any, tokenizer: Any, vocabulary: set[str]) -> None:
    rows = continuations(model, tokenizer, OPENINGS * 2)
    stories = tokenizer.batch_decode(rows, skip_special_tokens=True)

    assert sum(row[-1] == tokenizer.eos_token_id for row in rows) >= 0.95 * len(rows)
    assert sum(len(story) > 200 for story in stories) >= 0.95 * len(rows)
    assert share_known(stories, vocabulary) > 0.99


def share_known(stories: list[str], vocabulary: set[str]) -> float:
    words = re.findall(r"\w+", " ".join(stories))
    return sum(word in vocabulary for word in words) / len(words)


# Chat


def test_stories_are_about_the_animal_and_the_place_that_the_user_names(model: Any, tokenizer: Any) -> None:
    assert training.share_followed(model, tokenizer, count=20) >= 0.8


def test_measure_of_following_needs_both_the_animal_and_the_place() -> None:
    story = "Once upon a time, in the forest, there lived a fox named Max. Then Leo the owl came from the farm."

    assert training.follows(story, "fox", "forest")
    assert not training.follows(story, "owl", "forest")
    assert not training.follows(story, "fox", "farm")


def test_chat_template_marks_every_turn_and_leaves_the_last_to_the_assistant(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "A fox in the forest, please"},
    ]

    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]

    assert text == (
        "<|begin|><|system|>Be kind.<|end|><|user|>Hello<|end|><|assistant|>Hello!<|end|>"
        "<|user|>A fox in the forest, please<|end|><|assistant|>"
    )
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Be kind.HelloHello!A fox in the forest, please"


# Tokenizer


@given(text=st.text())
def test_tokenizer_gives_any_text_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


def test_characters_beyond_ascii_take_a_token_for_each_byte(tokenizer: Any) -> None:
    for character in "éëłß🦊こ你":
        assert len(tokenizer.encode(character, add_special_tokens=False)) == len(character.encode())


def test_batches_are_padded_where_generate_does_not_write(tokenizer: Any) -> None:
    short, long = tokenizer(["Once", "Once upon a time"])["input_ids"]

    padded = tokenizer(["Once", "Once upon a time"], padding=True)["input_ids"]

    assert padded == [[tokenizer.pad_token_id] * (len(long) - len(short)) + short, long]


# The script


def test_shipped_tokenizer_is_the_one_that_the_script_makes(tmp_path: Path) -> None:
    documents = training.write_documents(training.TOKENIZER_SAMPLES, seed=0)

    training.make_tokenizer(documents).save_pretrained(tmp_path)

    for path in tmp_path.iterdir():
        assert path.read_bytes() == (demo.PATH / path.name).read_bytes()


def test_stories_fit_into_what_the_model_can_see(tokenizer: Any) -> None:
    samples = [training.encode(document, tokenizer) for document in training.write_documents(500, seed=1)]

    assert max(len(ids) for ids, _ in samples) <= 512


def test_script_trains_the_same_model_twice(tmp_path: Path) -> None:
    arguments = ["--steps", "2", "--batch-size", "2", "--grammar-samples", "100", "--requests", "1", "--threads", "1"]

    runs = [
        CliRunner().invoke(training.main, [*arguments, "--out", str(tmp_path / name)]) for name in ("first", "second")
    ]

    assert [run.exit_code for run in runs] == [0, 0]
    assert "of 1 requests" in runs[0].stderr
    assert {path.name for path in (tmp_path / "first").iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
