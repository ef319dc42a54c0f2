from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

from streamfan.cli import main
from tests.support.distributions import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOUD = """
    from typing import Literal
    from pydantic import Field
    from streamfan import Sink, SinkOptions, hookimpl

    class LoudOptions(SinkOptions):
        volume: Literal["low", "high"] | None = Field(None, description="How loud.")
        shy: bool = Field(False, description="Rather not.")

    class Loud(Sink):
        name = "loud"
        Options = LoudOptions
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Loud]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        site.install_sink("loud", LOUD)
        yield site


def offered(*words: str) -> list[str]:
    """What a shell would offer for the last of these words."""
    *before, incomplete = words
    shell = ShellComplete(main, {}, "streamfan", "_STREAMFAN_COMPLETE")
    return [str(item.value) for item in shell.get_completions(list(before), incomplete)]


def test_commands_are_offered_without_importing_them() -> None:
    sys.modules.pop("streamfan.cli.tail", None)

    assert {"run", "replay", "redis"} <= set(offered("r") + offered(""))
    assert offered("ta") == ["tail"]
    assert "streamfan.cli.tail" not in sys.modules


def test_names_of_sinks_are_offered_and_nothing_is_imported_for_them(site: Site) -> None:
    assert offered("run", "hi", "--sink", "l") == ["loud"]
    assert offered("run", "hi", "-s", "noisy=lo") == ["noisy=loud"]
    assert offered("sinks", "lo") == ["loud"]
    assert "streamfan_loud" not in sys.modules


def test_names_of_sources_are_offered() -> None:
    assert "stdin" in offered("run", "--source", "s")
    assert offered("sources", "std") == ["stdin"]


def test_ids_of_the_line_are_offered_first(site: Site) -> None:
    assert offered("run", "hi", "-s", "a=loud", "-s", "redis", "-o", "") == ["a.", "redis.", "source."]


def test_without_a_sink_on_the_line_every_installed_one_can_have_options(site: Site) -> None:
    assert "loud." in offered("run", "hi", "-o", "l")


def test_options_of_a_sink_and_of_its_lane_are_offered(site: Site) -> None:
    line = ("run", "hi", "-s", "a=loud", "-o")

    assert {"a.volume=", "a.shy=", "a.lane.linger="} <= set(offered(*line, "a."))
    assert offered(*line, "a.vol") == ["a.volume="]
    assert offered(*line, "a.lane.requ") == ["a.lane.required="]


def test_options_of_the_source_are_offered(site: Site) -> None:
    assert offered("run", "hi", "-o", "source.top_") == ["source.top_p=", "source.top_k="]
    assert offered("run", "--source", "stdin", "-o", "source.spl") == ["source.split="]
    assert not offered("replay", "file.jsonl", "-o", "source.")


def test_values_are_offered_where_there_are_but_a_few(site: Site) -> None:
    line = ("run", "hi", "-s", "loud", "-o")

    assert offered(*line, "loud.volume=") == ["loud.volume=low", "loud.volume=high"]
    assert offered(*line, "loud.shy=t") == ["loud.shy=true"]
    assert offered(*line, "loud.lane.when_full=b") == ["loud.lane.when_full=block"]
    assert offered(*line, "loud.lane.linger=") == []


@pytest.mark.parametrize("word", ["nobody.", "loud.nothing=", "bad.", "unknown.x", "=.", "loud.lane"])
def test_nothing_is_offered_and_nothing_raised_for_what_there_is_not(site: Site, word: str) -> None:
    site.install_sink("bad", "raise RuntimeError('at import')")

    found = offered("run", "hi", "-s", "bad", "-s", "loud", "-s", "unknown", "-s", "=:", "-o", word)

    assert all(item.startswith("loud.lane.") for item in found)
