from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streamfan.config import RunConfig, SinkConfig, configure
from streamfan.errors import ConfigError, PluginError, SpecError, UsageError
from tests.support.distributions import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROKER = """
    from typing import Annotated, Any, Literal

    from pydantic import BaseModel, Field, SecretStr, model_validator
    from pydantic_core import PydanticCustomError

    from streamfan import LaneOptions, Sink, SinkOptions, hookimpl
    from streamfan.options import Seconds, Secret, Size

    class Tls(BaseModel):
        key: SecretStr
        certificate: str

    class BrokerOptions(SinkOptions):
        password: Secret | None = None
        pin: Annotated[Secret, Field(min_length=20)] | None = None
        headers: dict[str, Secret] = {}
        tls: Tls | None = None
        topics: tuple[str, ...] = ()
        note: str = ""
        ttl: Seconds = 60.0
        size: Size = 1024
        retain: bool = False
        partitions: Annotated[int, Field(ge=1)] = 1
        style: Literal["plain", "fancy"] = "plain"

        @model_validator(mode="after")
        def no_fancy_note(self):
            if self.note == "custom":
                raise PydanticCustomError("custom", "Customs are closed")
            if self.style == "fancy" and self.note:
                raise ValueError("note and style 'fancy' exclude each other")
            return self

    class Broker(Sink):
        name = "broker"
        aliases = ("brokers",)
        Options = BrokerOptions
        lane_defaults = LaneOptions(linger=0.01)
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Broker]
"""
DEMANDING = """
    from streamfan import Sink, SinkOptions, hookimpl

    class Options_(SinkOptions):
        topic: str
        other: int

    class Demanding(Sink):
        name = "demanding"
        Options = Options_
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Demanding]
"""
DEPRECATED = """
    from pydantic import Field
    from streamfan import Sink, SinkOptions, hookimpl

    class LoudOptions(SinkOptions):
        volume: int = Field(1, description="How loud.", deprecated="use gain; it goes in 0.3")
        gain: int = Field(1, description="How loud.")

    class Loud(Sink):
        name = "loud"
        Options = LoudOptions
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Loud]
"""
RADIO = """
    from streamfan import hookimpl
    from streamfan.source import Source, SourceOptions

    class RadioOptions(SourceOptions):
        volume: int = 5

    class Radio(Source):
        name = "radio"
        Options = RadioOptions
        accepts = frozenset({"seed", "stop"})
        def load(self, request): ...
        def run(self, fan, request): ...

    class Model(Source):
        name = "model"
        accepts = frozenset({"prompt", "model", "temperature", "max_new_tokens", "seed", "stop", "chat"})
        def load(self, request): ...
        def run(self, fan, request): ...

    @hookimpl
    def streamfan_sources():
        return [Radio, Model]
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        site.install("broker", code=BROKER, sinks={"broker": "broker", "brokers": "broker"})
        site.install_sink("demanding", DEMANDING)
        site.install("radio", code=RADIO, sources={"radio": "radio", "model": "radio"})
        yield site


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    *sinks: str,
    o: tuple[str, ...] = (),
    file: str | None = None,
    env: dict[str, str] | None = None,
    quiet: bool = True,
    **flags: Any,
) -> RunConfig:
    """What is run with these `--sink` and `-o`, this text in the file, and these variables and flags."""
    from pathlib import Path

    if file is not None:
        Path("f.toml").write_text(file, encoding="utf-8")
    return configure(
        sinks=sinks,
        options=o,
        config=None if file is None else "f.toml",
        flags={"source": "radio", "quiet": quiet or None, **flags},
        environ=env or {},
    )


def one(*sinks: str, **said: Any) -> SinkConfig:
    (sink,) = run(*sinks, **said).sinks
    return sink


def option(name: str, *sinks: str, **said: Any) -> Any:
    """The value that this option of the only sink gets."""
    return getattr(one(*(sinks or ("broker",)), **said).sink.options, name)


def refusal(*sinks: str, **said: Any) -> str:
    with pytest.raises(UsageError) as error:
        run(*sinks, **said)
    return str(error.value)


# Which sinks


def ids(config: RunConfig) -> list[str]:
    return [sink.id for sink in config.sinks]


TWO = '[sinks.live]\ntype = "broker"\ntarget = "broker://a"\nnote = "n"\n[sinks.copy]\ntype = "file"\n'


def test_text_goes_to_stdout_too_unless_quiet() -> None:
    assert ids(run("broker", quiet=False)) == ["stdout", "broker"]
    assert ids(run("broker", quiet=True)) == ["broker"]


def test_stdout_that_was_asked_for_comes_once_and_where_it_was_named() -> None:
    assert ids(run("broker", "stdout", quiet=False)) == ["broker", "stdout"]
    assert ids(run("broker", "screen=stdout", quiet=False)) == ["broker", "screen"]
    assert ids(run("stdout", quiet=True)) == ["stdout"]


def test_file_is_silenced_by_quiet_and_has_options_for_the_stdout_that_nobody_named() -> None:
    file = "[sinks.stdout]\nraw = true\n[sinks.broker]\n"

    assert ids(run(file=file, quiet=True)) == ["broker"]
    assert run("broker", file=file, quiet=False).sinks[0].sink.options.model_dump() == {"raw": True}


def test_nowhere_for_the_text_to_go_is_an_error() -> None:
    assert refusal(quiet=True) == "nothing would be given the text: quiet, and no sink\nTry: --sink NAME"


def test_sinks_of_the_file_are_run_in_its_order() -> None:
    assert ids(run(file=TWO)) == ["live", "copy"]


def test_sink_argument_replaces_the_sinks_of_the_file() -> None:
    assert ids(run("other=broker", file=TWO)) == ["other"]
    assert option("note", "other=broker", file=TWO) == ""


def test_id_of_the_file_picks_its_sink() -> None:
    live = one("live", file=TWO)

    assert (live.id, live.sink.name, live.sink.target) == ("live", "broker", "broker://a")
    assert option("note", "live", file=TWO) == "n"


@pytest.mark.parametrize("spec", ["live:broker://b", "live=broker://b"])
def test_id_of_the_file_with_another_target_keeps_its_options(spec: str) -> None:
    live = one(spec, file=TWO)

    assert live.sink.target == "broker://b"
    assert option("note", spec, file=TWO) == "n"


def test_id_of_the_file_for_another_sink_leaves_the_files_table_out() -> None:
    live = one("live=stdout", file=TWO)

    assert (live.sink.name, live.sink.target) == ("stdout", None)


def test_sink_that_the_file_sets_up_under_its_own_name_is_that_one() -> None:
    file = '[sinks.broker]\ntarget = "broker://a"\nnote = "n"\n'

    assert one("broker", file=file).sink.target == "broker://a"
    assert one("brokers://b", file=file).sink.target == "brokers://b"
    assert one("broker://b", file=file).sink.target == "broker://b"
    assert option("note", "brokers://b", file=file) == option("note", "broker://b", file=file) == "n"


def test_id_of_the_file_that_is_a_scheme_too_keeps_the_scheme_in_the_url() -> None:
    assert one("brokers://b", file='[sinks.brokers]\ntype = "broker"').sink.target == "brokers://b"


def test_same_id_twice_is_refused() -> None:
    with pytest.raises(SpecError, match=r"two sinks are called 'broker'\nTry: .* broker2=broker:"):
        run("broker:a", "brokers://b")


def test_name_near_to_an_id_of_the_file_is_answered_with_the_id() -> None:
    assert refusal("lvie", file=TWO).startswith("'lvie' is neither a sink nor in f.toml, did you mean 'live'?\n")


def test_unknown_sink_in_the_file_is_named_with_its_table() -> None:
    with pytest.raises(PluginError, match=r"f.toml: \[sinks.live\]: unknown sink 'brokr', did you mean 'broker'"):
        run(file='[sinks.live]\ntype = "brokr"')


# Precedence


FILE = '[sinks.broker]\nnote = "file"\n[sinks.broker.lane]\nlinger = "1s"\n[run]\nseed = 1\n'
ENV = {"STREAMFAN_BROKER_NOTE": "env", "STREAMFAN_BROKER_LANE_LINGER": "2s", "STREAMFAN_RUN_SEED": "2"}
ARGUMENTS = ("broker.note=o", "broker.lane.linger=3s", "run.seed=3")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ("", None, None)),
        ({"file": FILE}, ("file", 1.0, 1)),
        ({"file": FILE, "env": ENV}, ("env", 2.0, 2)),
        ({"file": FILE, "env": ENV, "o": ARGUMENTS}, ("o", 3.0, 3)),
        ({"file": FILE, "env": ENV, "o": ARGUMENTS, "seed": "4"}, ("o", 3.0, 4)),
        ({"env": ENV}, ("env", 2.0, 2)),
    ],
)
def test_who_comes_later_wins(said: dict[str, Any], expected: tuple[object, ...]) -> None:
    config = run("broker", **said)

    (broker,) = config.sinks
    linger = broker.lane.linger if "linger" in broker.lane.model_fields_set else None
    assert (option("note", **said), linger, config.request.seed) == expected


@pytest.mark.parametrize(
    ("sink", "said", "target"),
    [
        ("live", {}, "broker://a"),
        ("live", {"env": {"STREAMFAN_LIVE_TARGET": "broker://env"}}, "broker://env"),
        ("live:broker://c", {"env": {"STREAMFAN_LIVE_TARGET": "broker://env"}}, "broker://c"),
        ("live:broker://c", {"o": ("live.target=broker://o",)}, "broker://o"),
    ],
)
def test_target_is_an_option_like_any_other(sink: str, said: dict[str, Any], target: str) -> None:
    assert one(sink, file=TWO, **said).sink.target == target


def test_of_two_arguments_for_one_option_the_later_holds() -> None:
    assert option("note", o=("broker.note=a", "broker.note=b")) == "b"


def test_file_named_by_the_environment_is_read_unless_another_is_given(tmp_path: Path) -> None:
    (tmp_path / "env.toml").write_text('[sinks.broker]\nnote = "env"', encoding="utf-8")
    env = {"STREAMFAN_CONFIG": "env.toml"}

    assert option("note", env=env) == "env"
    assert option("note", env=env, file="") == ""
    assert option("note", env={"STREAMFAN_CONFIG": ""}) == ""


# Values


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("broker.retain=true", "retain", True),
        ("broker.retain=false", "retain", False),
        ("broker.partitions=3", "partitions", 3),
        ("broker.ttl=10ms", "ttl", 0.01),
        ("broker.size=2KiB", "size", 2048),
        ("broker.note=", "note", ""),
        ("broker.note=a=b c.d", "note", "a=b c.d"),
        ('broker.note=["a"]', "note", '["a"]'),
        ('broker.topics=["a", "b"]', "topics", ("a", "b")),
    ],
)
def test_text_becomes_what_the_option_is(text: str, name: str, value: object) -> None:
    variable, _, said = text.partition("=")

    assert option(name, o=(text,)) == value
    assert option(name, env={"STREAMFAN_" + variable.replace(".", "_").upper(): said}) == value


def test_secret_is_taken_from_wherever_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")

    password = option("password", file='[sinks.broker]\npassword = { env = "TOKEN" }')

    assert password.get_secret_value() == "hunter2"


def test_secret_that_looks_like_json_is_the_secret() -> None:
    password = option("password", env={"STREAMFAN_BROKER_PASSWORD": '{"env": "HOME"}'})

    assert password.get_secret_value() == '{"env": "HOME"}'


def test_table_is_given_as_json() -> None:
    headers = option("headers", o=('broker.headers={"Authorization": "Bearer x"}',))

    assert headers["Authorization"].get_secret_value() == "Bearer x"


def test_lane_options_leave_the_sinks_defaults_where_nothing_was_said() -> None:
    broker = one("broker", o=("broker.lane.boundary=line",))

    assert broker.lane.over(broker.sink.lane_defaults).model_dump(include={"boundary", "linger"}) == {
        "boundary": "line",
        "linger": 0.01,
    }


# Refusals: one line for each mistake, with who said it, and a last line that says what to do


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (
            {"o": ("broker.pasword=x",)},
            "sink 'broker' has no option 'pasword' (-o broker.pasword), did you mean 'password'?",
        ),
        (
            {"env": {"STREAMFAN_BROKER_PASWORD": "x"}},
            "sink 'broker' has no option 'pasword' ($STREAMFAN_BROKER_PASWORD), did you mean 'password'?",
        ),
        (
            {"file": '[sinks.broker]\npasword = "x"'},
            "sink 'broker' has no option 'pasword' (f.toml), did you mean 'password'?",
        ),
        (
            {"o": ("broker.linger=1s",)},
            "sink 'broker' has no option 'linger' (-o broker.linger), did you mean 'lane.linger'?",
        ),
        (
            {"env": {"STREAMFAN_BROKER_LANE_LINGR": "1s"}},
            ("the lane of sink 'broker' has no option 'lingr' ($STREAMFAN_BROKER_LANE_LINGR), did you mean 'linger'?"),
        ),
        (
            {"o": ("broker.lane.linger=soon",)},
            (
                "the lane of sink 'broker': option 'linger' (-o broker.lane.linger): not a duration: 'soon', "
                "expected a number of seconds or a number with us, ms, s, m, h or d"
            ),
        ),
        (
            {"env": {"STREAMFAN_BROKER_PARTITIONS": "many"}},
            (
                "sink 'broker': option 'partitions' ($STREAMFAN_BROKER_PARTITIONS): input should be a valid integer, "
                "unable to parse string as an integer, got 'many'"
            ),
        ),
        (
            {"o": ("broker.partitions=0",)},
            (
                "sink 'broker': option 'partitions' (-o broker.partitions): "
                "input should be greater than or equal to 1, got '0'"
            ),
        ),
        (
            {"o": ("broker.style=odd",)},
            "sink 'broker': option 'style' (-o broker.style): input should be 'plain' or 'fancy', got 'odd'",
        ),
        (
            {"o": ("broker.topics=a",)},
            "sink 'broker': option 'topics' (-o broker.topics): input should be a list in JSON, got 'a'",
        ),
        (
            {"file": '[sinks.broker]\ntopics = "a"'},
            "sink 'broker': option 'topics' (f.toml): input should be a list, got 'a'",
        ),
        (
            {"file": "[sinks.broker]\ntopics = '[]'"},
            "sink 'broker': option 'topics' (f.toml): input should be a list, got '[]'",
        ),
        (
            {"o": ("broker.note=custom",)},
            "sink 'broker': customs are closed",
        ),
        (
            {"file": "[sinks.broker]\ntarget = 1"},
            "sink 'broker': option 'target' (f.toml): input should be text",
        ),
        (
            {"o": ("broker.style=fancy", "broker.note=n")},
            "sink 'broker': note and style 'fancy' exclude each other",
        ),
        (
            {"o": ("borker.note=n",)},
            "there is no sink 'borker' here (-o borker.note), did you mean 'broker'?",
        ),
        (
            {"file": '[sinks.broker]\npassword = { env = "NO_SUCH_TOKEN" }'},
            "sink 'broker': option 'password' (f.toml): environment variable 'NO_SUCH_TOKEN' is not set",
        ),
        (
            {"seed": "x"},
            (
                "run: option 'seed' (--seed): input should be a valid integer, "
                "unable to parse string as an integer, got 'x'"
            ),
        ),
        (
            {"file": '[run]\nmodle = "x"'},
            "run has no option 'modle' (f.toml), did you mean 'model'?",
        ),
        (
            {"env": {"STREAMFAN_RUN_LANE_SEED": "1"}},
            "run has no option 'lane_seed' ($STREAMFAN_RUN_LANE_SEED), did you mean 'seed'?",
        ),
        (
            {"o": ("broker.lane.linger=106751991167300d",)},
            (
                "the lane of sink 'broker': option 'linger' (-o broker.lane.linger): "
                "too long: 9.22337e+18 s, expected at most 3650d"
            ),
        ),
        (
            {"o": (f"broker.lane.max_bytes={'9' * 30}",)},
            (
                "the lane of sink 'broker': option 'max_bytes' (-o broker.lane.max_bytes): "
                "too large: 867361737988.4EiB, expected at most 1TiB"
            ),
        ),
        (
            {"o": ("run.max_new_tokens=99999999999",)},
            (
                "run: option 'max_new_tokens' (-o run.max_new_tokens): input should be less than 2147483648, "
                "got '99999999999'"
            ),
        ),
        (
            {"file": f"[run]\nseed = 0x{'f' * 5000}"},
            f"run: option 'seed' (f.toml): input should be less than 9223372036854775808, got 0x{'f' * 58}...",
        ),
        (
            {"o": (f"run.stop={'[' * 50_000}",)},
            f"run: option 'stop' (-o run.stop): input should be a list in JSON, got '{'[' * 59}...",
        ),
        (
            {"o": ("source.volum=3",)},
            "source 'radio' has no option 'volum' (-o source.volum), did you mean 'volume'?",
        ),
    ],
)
def test_mistake_is_named_with_its_place(said: dict[str, Any], first: str) -> None:
    lines = refusal("broker", **said).split("\n")

    assert lines[0] == first
    assert len(lines) == 1 or lines[1:][-1].startswith("Try: ")


def test_every_mistake_has_its_line() -> None:
    text = refusal("broker", o=("broker.ttl=x", "broker.partitions=y", "broker.style=plain"))

    assert [line.partition(" (")[0] for line in text.split("\n")] == [
        "sink 'broker': option 'ttl'",
        "sink 'broker': option 'partitions'",
        "Try: streamfan sinks broker",
    ]


def test_option_that_must_be_given_is_asked_for() -> None:
    assert refusal("demanding", o=("demanding.other=1",)) == (
        "sink 'demanding' needs the option 'topic'\nTry: streamfan sinks demanding"
    )


@pytest.mark.parametrize(
    "said",
    [
        {"o": ("broker.pin=hunter2",)},
        {"o": ('broker.pin=["hunter2"]',)},
        {"o": ('broker.headers={"a": {"hunter2": 1}}',)},
        {"o": ("broker.headers=hunter2",)},
        {"o": ("broker.pasword=hunter2",)},
        {"o": ("broker.password:hunter2",)},
        {"o": ("broker.password hunter2",)},
        {"env": {"STREAMFAN_BROKER_PASWORD": "hunter2"}},
        {"file": '[sinks.broker]\npassword = ["hunter2"]'},
        {"file": '[sinks.broker]\npassword = "hunter2"\nstyle = "fancy"\nnote = "n"'},
        {"file": '[sinks.broker]\npassword = "hunter2"\nnote = "custom"'},
        {"file": '[sinks.broker]\ntls = { key = "hunter2" }'},
        {"file": '[sinks.broker]\ntls = "hunter2"'},
        {"file": '[sinks]\nbroker = "hunter2"'},
        {"file": '[sinks.broker]\npassword = "hunter2'},
        {"file": "[sinks.broker]\npassword = hunter2"},
    ],
)
def test_secret_is_in_no_error(said: dict[str, Any]) -> None:
    assert "hunter2" not in refusal("broker", **said)


@pytest.mark.parametrize("text", ["", "broker", "broker.note", "note=x", "=x", ".note=x", "broker.=x", "a.b.c=x"])
def test_option_off_the_grammar_is_refused_with_an_example(text: str) -> None:
    assert "Try: -o ID.KEY=VALUE or -o ID.lane.KEY=VALUE, for example -o" in refusal("broker", o=(text,))


def test_variables_of_sinks_that_are_not_there_are_nobodys_business() -> None:
    env = {"STREAMFAN_OTHER_NOTE": "x", "STREAMFAN_BROKER": "x", "STREAMFAN_TRACEBACK": "1", "streamfan_broker_x": "x"}

    assert option("note", env=env) == ""


# The file itself


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[sinks.broker", "f.toml: not TOML: "),
        (b"[run]\nseed = 1\nseed = 2\n", "(at line 3, column 9)"),
        (b"run = " + b"[" * 5000, "f.toml: lists or tables are nested too deeply"),
        (b"[run]\nseed = " + b"1" * 5000, "f.toml: a number has too many digits"),
        (b"[sink.broker]", "f.toml: unknown table 'sink', did you mean 'sinks'?\nTry: [run], [source], and one [sink"),
        (b"quiet = true", "f.toml: unknown table 'quiet'"),
        (b"run = 1", "f.toml: 'run' should be a table\nTry: [run]"),
        (b"source = 'radio'", "f.toml: 'source' should be a table\nTry: [source]"),
        (b"sinks = []", "f.toml: 'sinks' should be a table\nTry: [sinks]"),
        (b"[sinks]\nbroker = 'x'", "f.toml: 'sinks.broker' should be a table\nTry: [sinks.broker]"),
        (b"[sinks.broker]\nlane = 1", "f.toml: 'sinks.broker.lane' should be a table\nTry: [sinks.broker.lane]"),
        (b"[sinks.Live]\ntype = 'broker'", "f.toml: [sinks.Live]: 'Live' cannot be an id"),
        (b"[sinks.run]\ntype = 'broker'", "f.toml: [sinks.run]: 'run' cannot be an id: the word is reserved"),
        (b"[sinks.broker]\ntype = 1", "f.toml: [sinks.broker]: type should be the name of a sink, as text"),
        (b"# \xff", "configuration file 'f.toml' (--config) is not UTF-8: invalid start byte at byte 2"),
    ],
)
def test_file_that_cannot_be_understood_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "f.toml").write_bytes(content)

    with pytest.raises(ConfigError) as error:
        configure(sinks=["broker"], config="f.toml", environ={})

    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("config", "env", "reason"),
    [
        ("no.toml", {}, "configuration file 'no.toml' (--config) cannot be read: No such file or directory"),
        (".", {}, "configuration file '.' (--config) cannot be read: Is a directory"),
        ("a\0b", {}, "configuration file 'a\\x00b' (--config) cannot be read: embedded null byte"),
        (None, {"STREAMFAN_CONFIG": "no.toml"}, "'no.toml' ($STREAMFAN_CONFIG) cannot be read: No such file"),
    ],
)
def test_file_that_cannot_be_read_is_named_with_who_named_it(
    config: str | None, env: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError) as error:
        configure(sinks=["broker"], config=config, environ=env)

    assert reason in str(error.value)


def test_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf[run]\nquiet = true\nsource = 'radio'\n")

    assert configure(sinks=["broker"], config="f.toml", environ={}).quiet


# The source and what is asked of it


def test_source_gets_its_target_and_options() -> None:
    source = run("broker", source="radio:98.8", o=("source.volume=11",)).source

    assert (source.name, source.target, source.options.model_dump()) == ("radio", "98.8", {"volume": 11})


def test_request_is_made_of_the_flags() -> None:
    config = run(
        "broker", source="model", model="m", max_new_tokens=5, temperature=0.5, seed=3, stop=("a", "b"), chat=True
    )

    request = config.request_for("Once")

    assert (request.prompt, request.model, request.max_new_tokens) == ("Once", "m", 5)
    assert (request.temperature, request.seed, request.stop, request.chat) == (0.5, 3, ("a", "b"), True)


def test_request_asks_for_nothing_that_was_not_said() -> None:
    request = run("broker", source="model").request

    assert (request.model, request.max_new_tokens, request.temperature, request.seed) == (None, None, None, None)


def test_what_means_nothing_to_the_source_is_refused() -> None:
    text = refusal("broker", temperature=0.5)

    assert text == "option 'temperature' (--temperature) means nothing to source 'radio'\nTry: leave it out"


def test_refused_option_of_a_source_says_what_shows_them_all() -> None:
    text = refusal("broker", source="radio", o=("source.volume=loud",))

    assert "source 'radio': option 'volume' (-o source.volume): " in text
    assert text.endswith("\nTry: streamfan sources radio")


def test_prompt_for_a_source_that_takes_none_is_refused() -> None:
    with pytest.raises(UsageError, match="a prompt means nothing to source 'radio'"):
        run("broker").request_for("Once")


GENERAL = '[run]\nsource = "model"\ntemperature = 0.5\nseed = 3\n[source]\nheat = 1\n'


def test_file_for_another_source_is_no_mistake_where_this_one_cannot_follow() -> None:
    config = run("broker", file=GENERAL, source="radio")

    assert (config.request.temperature, config.request.seed) == (None, 3)
    assert config.source.options.model_dump() == {"volume": 5}


def test_file_for_this_source_is_held_to_its_word() -> None:
    file = GENERAL.replace('"model"', '"radio"')

    assert "'heat' (f.toml)" in refusal("broker", file=file, source="radio:98.8")
    assert "'temperature' (f.toml)" in refusal("broker", file=file.replace("heat", "volume"), source=None)


def test_source_with_an_id_is_refused() -> None:
    assert refusal("broker", source="a=radio").startswith("source 'a=radio' cannot have an id")


def test_settings_of_the_run_come_from_the_file() -> None:
    file = '[run]\nsource = "radio"\nsummary = "json"\nquiet = true\nstop = ["END"]\n'

    config = run("broker", file=file, quiet=False, source=None)

    assert (config.summary, config.quiet, config.request.stop) == ("json", True, ("END",))


def test_option_that_will_go_works_and_is_said_to_go(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install_sink("loud", DEPRECATED)

    with pytest.warns(DeprecationWarning, match="'volume' is deprecated: use gain"):
        sink = one("loud", o=("loud.volume=3",)).sink

    assert sink.options.model_dump()["volume"] == 3
    assert caplog.messages == ["sink 'loud': option 'volume' (-o loud.volume) is deprecated: use gain; it goes in 0.3"]
