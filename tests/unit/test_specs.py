from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import SpecError
from streamfan.sink import Sink
from streamfan.specs import RESERVED, Spec, check_unique, did_you_mean, parse

ids = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True).filter(lambda id: id not in RESERVED)
names = st.from_regex(r"[a-z][a-z0-9+-]{0,12}", fullmatch=True)
targets = st.text(min_size=1)
specs = st.builds(Spec, st.none() | ids, names, st.none() | targets)


class Plain(Sink):
    name = "plain"


class Broker(Sink):
    name = "broker"
    aliases = ("brokers", "unix")


@pytest.mark.parametrize(
    ("text", "id", "name", "target"),
    [
        ("stdout", None, "stdout", None),
        ("file:story.txt", None, "file", "story.txt"),
        ("file:a=b.txt", None, "file", "a=b.txt"),
        ("file:C=x:y", None, "file", "C=x:y"),
        ("copy=file:story.txt", "copy", "file", "story.txt"),
        ("copy=file:a=b:c", "copy", "file", "a=b:c"),
        ("live=redis://localhost/0", "live", "redis", "//localhost/0"),
        ("webhook:https://example.com/?a=b", None, "webhook", "https://example.com/?a=b"),
        ("file: odd \n name", None, "file", " odd \n name"),
    ],
)
def test_first_colon_splits_and_the_target_is_opaque(text: str, id: str | None, name: str, target: str | None) -> None:
    spec = parse(text)

    assert spec == Spec(id, name, target)


@given(specs)
def test_every_spec_reads_back_as_it_was_written(spec: Spec) -> None:
    assert parse(str(spec)) == spec


@given(st.text())
def test_any_text_is_a_spec_or_a_spec_error(text: str) -> None:
    try:
        read_back = str(parse(text))
    except SpecError:
        read_back = text

    assert read_back == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs a name"),
        (":story.txt", "needs a name"),
        ("live=", "needs a name"),
        ("live=:story.txt", "needs a name"),
        ("file:", "'file:' has an empty target"),
        ("File:story.txt", "'File' cannot be the name"),
        ("Live=file", "'Live' cannot be an id, which matches [a-z][a-z0-9]*"),
        ("my-file=file", "'my-file' cannot be an id"),
        ("=file", "'' cannot be an id"),
        ("lïve=file", "'lïve' cannot be an id"),
        ("a=b=file", "'b=file' cannot be the name"),
        ("run=file", "'run' cannot be an id: the word is reserved"),
        ("lane=file", "'lane' cannot be an id: the word is reserved"),
        ("source=file", "'source' cannot be an id: the word is reserved"),
        ("config=file", "'config' cannot be an id: the word is reserved"),
    ],
)
def test_malformed_spec_is_refused_with_its_reason_and_the_grammar(text: str, reason: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(text)

    assert reason in str(error.value)
    assert "Try: " in str(error.value)
    assert "[ID=]NAME[:TARGET], for example live=redis://localhost/0" in str(error.value)


@pytest.mark.parametrize("text", ["story.txt", "/tmp/story.txt", "./story"])
def test_bare_path_is_answered_with_the_spec_of_a_file(text: str) -> None:
    with pytest.raises(SpecError, match=f"Try: file:{text}"):
        parse(text)


@pytest.mark.parametrize("text", ["Live=redis://:hunter2@localhost", "Redis://:hunter2@localhost"])
def test_error_does_not_show_the_target(text: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(text)

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "to", "bound"),
    [
        ("plain", Plain, Spec("plain", "plain", None)),
        ("plain:x", Plain, Spec("plain", "plain", "x")),
        ("a=plain:x", Plain, Spec("a", "plain", "x")),
        ("plain:///tmp/x", Plain, Spec("plain", "plain", "///tmp/x")),
        ("broker", Broker, Spec("broker", "broker", None)),
        ("broker://host/0", Broker, Spec("broker", "broker", "broker://host/0")),
        ("brokers://host/0", Broker, Spec("broker", "broker", "brokers://host/0")),
        ("live=brokers://host/0", Broker, Spec("live", "broker", "brokers://host/0")),
        ("unix:///run/broker.sock", Broker, Spec("broker", "broker", "unix:///run/broker.sock")),
        ("unix:/run/broker.sock", Broker, Spec("broker", "broker", "unix:/run/broker.sock")),
        ("broker:brokers://host/0", Broker, Spec("broker", "broker", "brokers://host/0")),
        ("broker:host", Broker, Spec("broker", "broker", "host")),
    ],
)
def test_url_is_a_target_as_a_whole_and_the_id_defaults_to_the_sinks_own_name(
    text: str, to: type[Sink], bound: Spec
) -> None:
    assert parse(text).bound(to) == bound


@given(specs)
def test_what_is_bound_stays_as_it_is(spec: Spec) -> None:
    once = Spec(spec.id, "broker", spec.target).bound(Broker)

    assert once.bound(Broker) == once


def test_url_scheme_alone_is_refused() -> None:
    with pytest.raises(SpecError, match=r"'brokers' is a URL scheme of 'broker'.*\nTry: brokers://"):
        parse("brokers").bound(Broker)


def test_same_id_twice_is_refused_and_shows_how_to_give_another() -> None:
    with pytest.raises(SpecError, match=r"two sinks are called 'copy'\nTry: .*copy2=file:"):
        check_unique([("copy", "file"), ("redis", "redis"), ("copy", "file")])


def test_different_ids_are_unique() -> None:
    check_unique([("file", "file"), ("redis", "redis"), ("file2", "file")])


def test_nearest_names_come_first_and_distant_ones_not_at_all() -> None:
    assert did_you_mean("reddis", ["file", "redis", "rediss"]) == ", did you mean 'redis' or 'rediss'?"
    assert did_you_mean("kafka", ["file", "redis"]) == ""
