"""The schema of streamfan.toml accepts what the program accepts, and tells editors of mistakes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from streamfan.config import configure
from streamfan.config.schema import schema
from streamfan.errors import UsageError
from tests.support.distributions import Site

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def validator() -> Any:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_the_file_of_the_readme_is_valid(validator: Any) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)

    assert not list(validator.iter_errors(tomllib.loads(block)))


GOOD = """
[run]
max_new_tokens = 5
[sinks.stdout]
raw = true
[sinks.live]
type = "redis"
target = "redis://localhost"
password = { file = "/dev/null" }
ttl = "1h"
[sinks.live.lane]
linger = 0.01
max_bytes = "64KiB"
[sinks.hook]
type = "https"
target = "https://example.org/hook"
"""

BAD = [
    "nonsense = 1",
    "[run]\nmax_new_tokens = 0",
    "[run]\nmodle = 'm'",
    "[sinks.live]\nprefix = 'no type'",
    "[sinks.live]\ntype = 'kafka'",
    "[sinks.Live]\ntype = 'redis'",
    "[sinks.run]\ntype = 'redis'",
    "[sinks.live]\ntype = 'redis'\nttl = '10 fortnights'",
    "[sinks.live]\ntype = 'redis'\nraw = true",
    "[sinks.stdout]\nttl = '1h'",
    "[sinks.stdout.lane]\nlinger = -1",
    "[sinks.redis]\npassword = { vault = 'x' }",
]


def test_what_the_program_takes_is_valid(validator: Any, tmp_path: Path) -> None:
    (tmp_path / "streamfan.toml").write_text(GOOD, encoding="utf-8")

    configure(config=str(tmp_path / "streamfan.toml"), environ={})

    assert not [error.message for error in validator.iter_errors(tomllib.loads(GOOD))]


@pytest.mark.parametrize("text", BAD)
def test_what_the_program_refuses_is_not_valid(validator: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "streamfan.toml").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError):
        configure(config=str(tmp_path / "streamfan.toml"), environ={})

    assert list(validator.iter_errors(tomllib.loads(text)))


def test_every_option_of_a_sink_is_in_it_with_its_description() -> None:
    redis = schema()["$defs"]["sink-redis"]["properties"]

    assert {"type", "target", "lane", "ttl", "control"} <= redis.keys()
    assert all(option.get("description") for name, option in redis.items() if name != "lane")


ODD = """
    from collections.abc import Callable
    from pydantic import ConfigDict, Field, SecretStr
    from streamfan import Sink, SinkOptions, hookimpl
    from streamfan.options import Secret

    class Level: ...

    class OddOptions(SinkOptions):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        volume: int = Field(3, description="How loud.")
        change: Callable[[str], str] | None = Field(None, description="What becomes of the text.")
        level: Level = Field(Level(), description="Which.")
        key: Secret = Field("hunter2", description="To be let in.")
        keys: dict[str, SecretStr] = Field({"a": "hunter2"}, description="To be let in, each.")

    class Odd(Sink):
        name = "odd"
        Options = OddOptions
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Odd]
"""


def test_options_that_json_has_no_type_for_may_be_anything_and_no_secret_is_shown(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.install_sink("odd", ODD)

        made = schema()

    odd = made["$defs"]["sink-odd"]["properties"]
    assert odd["volume"] == {"default": 3, "description": "How loud.", "title": "Volume", "type": "integer"}
    assert odd["level"] == {"description": "Which.", "title": "Level"}
    assert {"change", "key", "keys"} <= odd.keys()
    assert "hunter2" not in str(made)
