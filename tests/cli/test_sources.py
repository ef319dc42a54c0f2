"""`streamfan sources`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from streamfan.cli import main
from streamfan.plugins import plugins


def sources(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sources", *arguments])


def test_list_names_every_source() -> None:
    result = sources()

    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert names == ["name", "openai", "recording", "stdin", "transformers", "websocket", "ws", "wss"]
    assert [each["name"] for each in json.loads(sources("--json").stdout)] == names[1:]


def test_page_of_a_source_has_all_that_one_needs_to_use_it() -> None:
    lines = sources("openai").stdout.splitlines()

    assert lines[0].startswith("openai: ")
    assert "takes      chat, max_new_tokens, messages, model, prompt, seed, stop, temperature" in lines
    assert "Options, -o source.KEY=VALUE or [source]" in lines
    assert "  n                    integer, from 1 up to 128, default 1, $STREAMFAN_SOURCE_N" in lines
    assert lines[-1] == "  streamfan run 'Once upon a time' --source openai:http://localhost:8000"


def test_scheme_shows_the_source_it_belongs_to() -> None:
    assert sources("ws").stdout == sources("websocket").stdout


@pytest.mark.parametrize("name", ["transformers", "openai", "stdin", "recording", "websocket"])
def test_json_of_a_source_has_each_option(name: str) -> None:
    described = json.loads(sources(name, "--json").stdout)

    assert [option["name"] for option in described["options"]] == list(plugins().source(name).Options.model_fields)


def test_unknown_source_is_one_error_with_the_nearest() -> None:
    result = sources("opnai")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: unknown source 'opnai', did you mean 'openai'")
