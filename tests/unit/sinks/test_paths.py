from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import SpecError
from streamfan.sinks.file.paths import PathTemplate
from tests.support.streams import info

STREAM = replace(info("20261120-k3f9"), time=datetime(2026, 11, 20, 23, 59, tzinfo=UTC))


def rendered(source: str) -> str:
    return str(PathTemplate.parse(source).path(STREAM))


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("answer.txt", "answer.txt"),
        ("streamfan-{stream}.txt", "streamfan-20261120-k3f9.txt"),
        ("logs/{date}/{stream}.jsonl", "logs/2026-11-20/20261120-k3f9.jsonl"),
        ("{{{stream}}}", "{20261120-k3f9}"),
        ("{{stream}}", "{stream}"),
        ("a}}b", "a}b"),
    ],
)
def test_fields_are_filled_in(source: str, path: str) -> None:
    assert rendered(source) == str(Path.cwd() / path)


def test_date_is_that_of_the_opening_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    stream = replace(STREAM, time=datetime(2026, 11, 21, 8, 59, tzinfo=tokyo))

    assert PathTemplate.parse("{date}").path(stream).name == "2026-11-20"


def test_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/{ada}")

    assert rendered("~/{stream}") == "/home/{ada}/20261120-k3f9"
    assert PathTemplate.parse("~/a").fixed == Path("/home/{ada}/a")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{model}.txt", r"there is no field \{model\}, only \{stream\}, \{date\}"),
        ("{}", r"there is no field \{\}, only"),
        ("{stream.id}", r"no field \{stream\.id\}"),
        ("{date:%Y}", r"no field \{date:%Y\}"),
        ("{stream!r}", r"no field \{stream!r\}"),
        ("{stream", "a brace without its partner\nTry: '{{' or '}}'"),
        ("a}b", "a brace without its partner"),
        ("", "does not name a file"),
        ("out/", "does not name a file"),
        ("a\0b", "does not name a file"),
        ("out/{stream}/../a", "leaves the directory"),
        ("out/{stream}/..", "leaves the directory"),
        ("~nobody-of-this-name/{stream}", "home"),
    ],
)
def test_unusable_template_is_refused(source: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        PathTemplate.parse(source)


@given(st.text(st.sampled_from("./\\~{}\0\n aé-_0"), max_size=8))
def test_no_value_leaves_its_directory(id: str) -> None:
    path = PathTemplate.parse("base/{stream}").path(replace(STREAM, id=id))

    assert path.parent == Path.cwd() / "base"
    assert path.name not in {"", ".", ".."}
    assert "\0" not in path.name


@pytest.mark.parametrize(
    ("source", "fixed", "per_stream", "base"),
    [
        ("a", Path("a"), False, "."),
        ("o{{}}/a", Path("o{}/a"), False, "o{}"),
        ("out/a-{stream}", None, True, "out"),
        ("out/x{date}/a", None, False, "out"),
        ("{date}-{stream}", None, True, "."),
        ("/{date}/{stream}", None, True, "/"),
    ],
)
def test_template_knows_what_depends_on_the_stream(
    source: str, fixed: Path | None, per_stream: bool, base: str
) -> None:
    template = PathTemplate.parse(source)

    assert (template.fixed, template.per_stream) == (fixed and Path.cwd() / fixed, per_stream)
    assert template.base == Path.cwd() / base
