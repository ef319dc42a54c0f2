from __future__ import annotations

import json
import logging
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from streamfan.cli import main
from tests.support.distributions import SHOUT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOUD = """
    from typing import Literal
    from pydantic import Field
    from streamfan import Delivery, LaneOptions, Sink, SinkOptions, hookimpl
    from streamfan.options import Seconds, Secret, Size

    class LoudOptions(SinkOptions):
        token: Secret | None = Field("whisper", description="The key.")
        volume: Literal["low", "high"] = Field("low", description="How loud, [red]from low[/red] to :smile:.")
        pause: Seconds = Field(0.25, description="Between two shouts.")
        room: Size | None = Field(None, description="How big the room is.")
        echo: Size = Field(2048, description="How long the echo is.")
        words: tuple[str, ...] = Field(("a", "b"), description="What to shout, " + "and shout again, " * 20)
        names: dict[str, int] | None = Field(None, description="Whom to shout at.")
        times: int = Field(3, ge=1, le=1000, description="How often.")
        pitch: float | str = Field(1.5, description="How high.")
        shy: bool = Field(False, description="Rather not.")

    class Loud(Sink):
        '''Shouts.

        And more than that.
        '''
        name = "loud"
        aliases = ("louder",)
        delivery = Delivery.AT_MOST_ONCE
        lane_defaults = LaneOptions(linger="1s", max_bytes="1KiB")
        Options = LoudOptions
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Loud]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield site


@pytest.fixture
def loud(site: Site) -> None:
    site.install("loud-speaker", "0.3.1", code=LOUD, sinks={"loud": "loud_speaker", "louder": "loud_speaker"})


def sinks(*arguments: str, **env: str) -> Result:
    return CliRunner(env=env).invoke(main, ["sinks", *arguments])


# The list


def test_list_names_every_sink_with_its_distribution(site: Site) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1")

    result = sinks()

    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert rows[0] == ["name", "distribution", "version"]
    assert ["shout", "streamfan-shout", "0.3.1"] in rows
    assert "redis" in [row[0] for row in rows if row[1] == "streamfan"]


def test_list_imports_none_of_them(site: Site) -> None:
    site.install_sink("shout", SHOUT)
    site.install_sink("broken", "raise RuntimeError")

    result = sinks()

    assert result.exit_code == 0
    assert "streamfan_shout" not in sys.modules
    assert {"shout", "broken"} <= {line.split()[0] for line in result.stdout.splitlines()}


def test_list_shows_a_contested_name_with_all_who_claim_it(site: Site) -> None:
    site.install_sink("shout", SHOUT, distribution="first")
    site.install_sink("shout", SHOUT, distribution="second")

    rows = [line.split()[:2] for line in sinks().stdout.splitlines()]

    assert ["shout", "first"] in rows
    assert ["shout", "second"] in rows


def test_escape_sequences_in_metadata_are_made_visible(site: Site) -> None:
    site.install_sink("shout", SHOUT, version="1\x1b[31m")

    assert "\x1b" not in sinks().stdout


# One sink


@pytest.mark.usefixtures("loud")
def test_page_of_a_sink_has_all_that_one_needs_to_use_it() -> None:
    result = sinks("loud")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[:28] == [
        "loud: Shouts.",
        "",
        "delivery   at most once",
        "from       loud-speaker 0.3.1",
        "schemes    louder",
        "",
        "Options, -o loud.KEY=VALUE or [sinks.loud]",
        "  token   secret, no default, $STREAMFAN_LOUD_TOKEN",
        "          The key.",
        "  volume  low | high, default low, $STREAMFAN_LOUD_VOLUME",
        "          How loud, [red]from low[/red] to :smile:.",
        "  pause   duration, default 250ms, $STREAMFAN_LOUD_PAUSE",
        "          Between two shouts.",
        "  room    size, no default, $STREAMFAN_LOUD_ROOM",
        "          How big the room is.",
        "  echo    size, default 2KiB, $STREAMFAN_LOUD_ECHO",
        "          How long the echo is.",
        '  words   list of text, default ["a", "b"], $STREAMFAN_LOUD_WORDS',
        ("          What to shout, " + "and shout again, " * 20).rstrip(),
        "  names   table, no default, $STREAMFAN_LOUD_NAMES",
        "          Whom to shout at.",
        "  times   integer, from 1 up to 1,000, default 3, $STREAMFAN_LOUD_TIMES",
        "          How often.",
        "  pitch   number or text, default 1.5, $STREAMFAN_LOUD_PITCH",
        "          How high.",
        "  shy     boolean, default false, $STREAMFAN_LOUD_SHY",
        "          Rather not.",
        "",
    ]
    assert "Options of its lane, -o loud.lane.KEY=VALUE or [sinks.loud.lane]" in result.stdout
    assert "  linger           duration, default 1s, $STREAMFAN_LOUD_LANE_LINGER" in result.stdout
    assert "  max_bytes        size, from 4, default 1KiB, $STREAMFAN_LOUD_LANE_MAX_BYTES" in result.stdout
    example = 'echo "Once upon a time" | streamfan run --source stdin --sink loud -o loud.volume=low'
    assert result.stdout.endswith(f"\nExample\n  {example}\n")


@pytest.mark.usefixtures("loud")
def test_scheme_shows_the_sink_it_belongs_to() -> None:
    assert sinks("louder").stdout == sinks("loud").stdout


def test_sink_without_options_has_an_example_too(site: Site) -> None:
    site.install_sink("shout", SHOUT)

    example = 'echo "Once upon a time" | streamfan run --source stdin --sink shout'
    assert sinks("shout").stdout.endswith(f"\nExample\n  {example}\n")


@pytest.mark.usefixtures("loud")
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "dumb"}])
def test_output_that_is_no_terminal_is_plain(env: dict[str, str]) -> None:
    assert "\x1b" not in sinks("loud", **env).stdout


ODD = """
    from pydantic import ConfigDict, Field
    from streamfan import Sink, SinkOptions, hookimpl

    class Level: ...

    class OddOptions(SinkOptions):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        volume: int = Field(3, description="How loud.")
        echo: int = Field(default_factory=lambda others: others["volume"], description="How long the echo is.")
        level: Level = Field(Level(), description="Which.")

    class Odd(Sink):
        name = "odd"
        Options = OddOptions
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Odd]
"""


def test_default_that_cannot_be_told_or_written_is_none(site: Site) -> None:
    site.install_sink("odd", ODD)

    described = json.loads(sinks("odd", "--json").stdout)

    assert [(option["name"], option["default"]) for option in described["options"]] == [
        ("volume", "3"),
        ("echo", ""),
        ("level", ""),
    ]


def test_broken_sink_is_one_error_with_the_code_of_misuse(site: Site) -> None:
    site.install_sink("broken", "import no_such_client", version="0.3.1")

    result = sinks("broken")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: sink 'broken' (streamfan-broken 0.3.1) could not be loaded: "
        "ModuleNotFoundError(\"No module named 'no_such_client'\")\n"
        "Try: pip install --upgrade streamfan-broken, or leave --sink broken out\n"
    )


def test_unknown_sink_is_one_error_with_the_nearest() -> None:
    result = sinks("reddis")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: unknown sink 'reddis', did you mean 'redis'")


# JSON


@pytest.mark.usefixtures("loud")
def test_json_of_a_sink_is_what_the_page_says() -> None:
    result = sinks("loud", "--json")

    loud = json.loads(result.stdout)
    assert "whisper" not in result.stdout
    assert {key: loud[key] for key in ("name", "aliases", "distribution", "version", "module", "delivery")} == {
        "name": "loud",
        "aliases": ["louder"],
        "distribution": "loud-speaker",
        "version": "0.3.1",
        "module": "loud_speaker",
        "delivery": "at most once",
    }
    assert loud["options"][1] == {
        "name": "volume",
        "type": "low | high",
        "limits": "",
        "default": "low",
        "required": False,
        "description": "How loud, [red]from low[/red] to :smile:.",
        "variable": "STREAMFAN_LOUD_VOLUME",
    }


@pytest.mark.usefixtures("loud")
def test_json_of_all_has_each_once_and_the_broken_ones_with_their_error(site: Site) -> None:
    site.install_sink("broken", "raise RuntimeError('boom')")

    result = sinks("--json")

    listed = json.loads(result.stdout)
    names = [sink["name"] for sink in listed]
    (broken,) = (sink for sink in listed if "error" in sink)
    assert result.exit_code == 0
    assert {"loud", "broken", "stdout", "file", "redis", "webhook"} <= set(names)
    assert len(names) == len(set(names))
    assert broken["error"].startswith("sink 'broken' (streamfan-broken 1.0) could not be loaded: RuntimeError('boom')")


# The built-ins


@pytest.mark.parametrize("name", ["stdout", "file", "redis", "webhook"])
def test_example_of_a_builtin_is_understood(name: str) -> None:
    from streamfan.config.run import configure

    words = shlex.split(json.loads(sinks(name, "--json").stdout)["example"])

    given = words[words.index("--sink") + 1], words[words.index("-o") + 1]
    config = configure(sinks=given[:1], options=given[1:], flags={"quiet": True}, environ={})

    assert [sink.sink.name for sink in config.sinks] == [name]


def test_list_imports_no_client_library() -> None:
    code = (
        "import sys; from streamfan.cli import main\n"
        "try: main(['sinks'])\n"
        "finally: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 0
    assert not {"httpx2", "pydantic", "redis", "tokenizers", "torch", "transformers"} & set(done.stderr.split())


# What is loaded, for those who wonder


@pytest.fixture
def _logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up the logger of its process, which here goes on."""
    logger = logging.getLogger("streamfan-plugins")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.mark.usefixtures("_logger")
def test_trace_says_which_modules_are_imported_and_what_is_called(site: Site) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1")
    site.install_sink("whisper", SHOUT)

    result = sinks("shout", STREAMFAN_TRACE_PLUGINS="1")

    first, second = result.stderr.splitlines()
    assert re.fullmatch(
        r"streamfan: sink 'shout': imported streamfan_shout \(streamfan-shout 0\.3\.1\) in \d+ ms", first
    )
    assert second == "streamfan: calling streamfan_sinks() of streamfan_shout (streamfan-shout 0.3.1)"
    assert result.exit_code == 0


@pytest.mark.usefixtures("_logger")
def test_trace_changes_nothing_about_a_broken_sink(site: Site) -> None:
    site.install_sink("broken", "import no_such_client")

    assert sinks("broken", STREAMFAN_TRACE_PLUGINS="1").output == sinks("broken").output


def test_what_a_plugin_says_of_itself_is_not_obeyed(site: Site) -> None:
    site.install_sink(
        "loud", LOUD.replace("'''Shouts.", "'''Shouts.\x1b[2J").replace("Rather not.", "Rather\x1b[2J not.")
    )

    result = sinks("loud")

    assert "\x1b" not in result.stdout
    assert "loud: Shouts.␛[2J" in result.stdout
    assert "Rather␛[2J not." in result.stdout
