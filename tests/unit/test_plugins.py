from __future__ import annotations

import logging
import sys
import threading
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from streamfan import __version__, hookspecs
from streamfan.errors import MissingExtra, PluginError
from streamfan.hookspecs import hookspec
from streamfan.plugins import Plugins, plugins
from streamfan.specs import parse
from tests.support.distributions import SHOUT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamfan.report import StreamReport
    from streamfan.sink import Sink
    from streamfan.stream import Stream

STREAM = cast("Stream", SimpleNamespace(id="a"))
REPORT = cast("StreamReport", SimpleNamespace(tokens=3))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield site


def sink_error(name: str) -> str:
    """The text of the error that loading this sink ends in."""
    with pytest.raises(PluginError) as error:
        Plugins().sink(name)
    return str(error.value)


# Finding


def test_installed_sinks_are_listed_by_name_and_none_is_imported(site: Site) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1")
    site.install_sink("broken", "raise RuntimeError")

    listed = [(it.name, it.origin, it.module) for it in Plugins().installed("sink") if it.name in {"shout", "broken"}]

    assert listed == [
        ("broken", "streamfan-broken 1.0", "streamfan_broken"),
        ("shout", "streamfan-shout 0.3.1", "streamfan_shout"),
    ]
    assert not {"streamfan_shout", "streamfan_broken"} & set(sys.modules)


def test_leftover_of_a_distribution_is_listed_without_its_name(site: Site) -> None:
    site.install_sink("shout", SHOUT)
    next(site.folder.glob("*.dist-info/METADATA")).write_text("", encoding="utf-8")

    assert "unknown unknown" in {listing.origin for listing in Plugins().installed("sink")}


def test_module_is_imported_when_its_sink_is_named_and_no_other(site: Site) -> None:
    site.install_sink("shout", SHOUT)
    site.install_sink("broken", "raise RuntimeError")

    shout = Plugins().sink("shout")

    assert shout.name == "shout"
    assert "streamfan_shout" in sys.modules
    assert "streamfan_broken" not in sys.modules


def test_builtin_sinks_are_found_the_same_way() -> None:
    origins = {it.name: it.distribution for it in plugins().installed("sink")}

    assert {"stdout", "file", "redis", "webhook"} <= {name for name, origin in origins.items() if origin == "streamfan"}


def test_sink_is_found_by_its_url_schemes_and_asked_once(site: Site) -> None:
    code = """
        from streamfan import Sink, hookimpl

        asked = []

        class Broker(Sink):
            name = "broker"
            aliases = ("brokers",)
            def write(self, chunk): ...

        @hookimpl
        def streamfan_sinks():
            asked.append("sinks")
            yield Broker
    """
    site.install("broker", code=code, sinks={"broker": "broker", "brokers": "broker"})
    plugins = Plugins()

    assert plugins.sink("brokers") is plugins.sink("broker")
    assert sys.modules["broker"].asked == ["sinks"]


def test_source_is_loaded_by_name(site: Site) -> None:
    code = """
        from streamfan import hookimpl
        from streamfan.source import Source

        class Radio(Source):
            name = "radio"
            def load(self, request): ...
            def run(self, fan, request): ...

        @hookimpl
        def streamfan_sources():
            return [Radio]
    """
    site.install("radio", code=code, sources={"radio": "radio"})

    source = Plugins().make_source(parse("radio:98.8"))

    assert (source.name, source.target) == ("radio", "98.8")


def test_sink_is_made_with_its_target(site: Site) -> None:
    site.install_sink("shout", SHOUT)

    sink = Plugins().make_sink(parse("loud=shout:at them"))

    assert (sink.name, sink.target) == ("shout", "at them")


# Unknown, and claimed twice


def test_unknown_sink_is_answered_with_the_nearest_and_all_installed(site: Site) -> None:
    site.install_sink("shout", SHOUT)

    text = sink_error("shuot")

    assert text.startswith("unknown sink 'shuot', did you mean 'shout'?\nTry: one of ")
    assert "file, " in text
    assert "shout, " in text


def test_two_distributions_that_claim_one_name_are_both_named(site: Site) -> None:
    site.install_sink("shout", SHOUT, distribution="first", version="1.2")
    site.install_sink("shout", SHOUT, distribution="second", version="3.4")

    text = sink_error("shout")

    assert "sink 'shout' is claimed by " in text
    assert "first 1.2" in text
    assert "second 3.4" in text
    assert text.endswith("\nTry: pip uninstall first or second")


def test_name_of_a_builtin_cannot_be_taken_over(site: Site) -> None:
    site.install_sink("stdout", SHOUT, distribution="impostor")

    text = sink_error("stdout")

    assert "impostor 1.0" in text
    assert "streamfan 0." in text
    assert text.endswith("\nTry: pip uninstall impostor")
    assert "impostor" not in sys.modules


def test_contested_name_leaves_the_others_alone(site: Site) -> None:
    site.install_sink("stdout", SHOUT, distribution="impostor")
    site.install_sink("shout", SHOUT)

    assert Plugins().sink("shout").name == "shout"


# Broken


CLASS = "from streamfan import Sink, SinkOptions, hookimpl\nclass Shout(Sink):\n    name = 'shout'\n"
WRITE = "    def write(self, chunk): ...\n"
HOOK = "@hookimpl\ndef streamfan_sinks():\n    return [Shout]\n"

BROKEN = {
    "raises at import": (
        "raise RuntimeError('boom')",
        "could not be loaded: RuntimeError('boom')",
    ),
    "misses a dependency": (
        "import no_such_client",
        """could not be loaded: ModuleNotFoundError("No module named 'no_such_client'")""",
    ),
    "exits at import": (
        "raise SystemExit('bye')",
        "could not be loaded: SystemExit('bye')",
    ),
    "panics at import, as a module in Rust does": (
        "class PanicException(BaseException): ...\nraise PanicException('boom')",
        "could not be loaded: PanicException('boom')",
    ),
    "raises at import what cannot be shown": (
        "class Odd(Exception):\n    def __repr__(self): raise RuntimeError\nraise Odd",
        "could not be loaded: <Odd>",
    ),
    "raises at import what has lines": (
        "class Odd(Exception):\n    def __repr__(self): return 'boom\\nError: forged'\nraise Odd",
        "could not be loaded: boom Error: forged",
    ),
    "does not parse": (
        "def",
        "could not be loaded: SyntaxError(",
    ),
    "misspells the hook": (
        CLASS + WRITE + HOOK.replace("sinks", "sink"),
        "could not be registered: there is no hook 'streamfan_sink', did you mean 'streamfan_sinks' or ",
    ),
    "misspells an argument": (
        "from streamfan import hookimpl\n@hookimpl\ndef streamfan_finished(strom): ...\n",
        "could not be registered: Plugin 'streamfan_shout (streamfan-shout 0.3.1)' for hook 'streamfan_finished'",
    ),
    "forgets the marker": (
        CLASS + WRITE + HOOK.removeprefix("@hookimpl\n"),
        "is not what 'streamfan_shout' provides: is @hookimpl missing above streamfan_sinks()?",
    ),
    "has no hook": (
        CLASS + WRITE,
        "is not what 'streamfan_shout' provides: nothing, it lacks: @hookimpl",
    ),
    "brings another name": (
        CLASS.replace("'shout'", "'whisper'") + WRITE + HOOK,
        "is not what 'streamfan_shout' provides: 'whisper'",
    ),
    "raises in its hook": (
        CLASS + WRITE + HOOK.replace("return [Shout]", "raise RuntimeError('boom')"),
        "could not be loaded: streamfan_sinks() raised RuntimeError('boom')",
    ),
    "raises half-way through its hook": (
        CLASS + WRITE + HOOK.replace("return [Shout]", "yield Shout; raise RuntimeError('boom')"),
        "could not be loaded: streamfan_sinks() raised RuntimeError('boom')",
    ),
    "exits in its hook": (
        CLASS + WRITE + HOOK.replace("return [Shout]", "raise SystemExit(5)"),
        "could not be loaded: streamfan_sinks() raised SystemExit(5)",
    ),
    "gives a class instead of classes": (
        CLASS + WRITE + HOOK.replace("[Shout]", "Shout"),
        "could not be loaded: streamfan_sinks() raised TypeError(",
    ),
    "gives an instance": (
        CLASS + WRITE + HOOK.replace("[Shout]", "[Shout()]"),
        "which is no subclass of Sink",
    ),
    "gives what is no sink": (
        CLASS + WRITE + HOOK.replace("[Shout]", "[int]"),
        "could not be loaded: streamfan_sinks() gave <class 'int'>, which is no subclass of Sink",
    ),
    "gives what cannot be shown": (
        "from streamfan import hookimpl\nclass Odd:\n    def __repr__(self): raise RuntimeError\n"
        + HOOK.replace("[Shout]", "[Odd()]"),
        "could not be loaded: streamfan_sinks() gave <Odd>, which is no subclass of Sink",
    ),
    "has a nameless class": (
        CLASS.replace("name = 'shout'", "pass") + WRITE + HOOK,
        "could not be loaded: class 'Shout' has no name",
    ),
    "cannot write": (
        CLASS + HOOK,
        "cannot be used: class 'Shout' lacks write()",
    ),
    "has foreign options": (
        CLASS + "    Options = dict\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has Options that are no subclass of SinkOptions",
    ),
    "has options that are no class": (
        CLASS + "    Options = {'volume': 3}\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has Options that are no subclass of SinkOptions",
    ),
    "has an option of a type that there is not": (
        CLASS + "    class Options(SinkOptions):\n        volume: 'Level' = None\n" + WRITE + HOOK,
        "cannot be used: PydanticUndefinedAnnotation(",
    ),
    "has one alias and no tuple": (
        CLASS + "    aliases = 'loud'\n" + WRITE + HOOK,
        "could not be loaded: class 'Shout' has aliases that are no tuple of names",
    ),
    "has an example that is no text": (
        CLASS + "    example = 5\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has an example that is no text: 5",
    ),
    "has a class that raises when asked": (
        "from streamfan import Sink, hookimpl\n"
        "class Odd(type(Sink)):\n"
        "    @property\n    def Options(cls): raise RuntimeError('boom')\n"
        "class Shout(Sink, metaclass=Odd):\n    name = 'shout'\n" + WRITE + HOOK,
        "cannot be used: RuntimeError('boom')",
    ),
    "has an option that cannot be set": (
        CLASS + "    class Options(SinkOptions):\n        target: str = ''\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has an option 'target', a word that is taken",
    ),
    "has no lane's defaults": (
        CLASS + "    lane_defaults = {'lingr': 1}\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has lane_defaults that are no LaneOptions: {'lingr': 1}",
    ),
    "has an option that looks like a lane's": (
        CLASS + "    class Options(SinkOptions):\n        lane_width: int = 0\n" + WRITE + HOOK,
        "cannot be used: class 'Shout' has an option 'lane_width', a word that is taken",
    ),
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_plugin_is_named_with_its_version_and_what_to_do(site: Site, code: str, reason: str) -> None:
    site.install_sink("shout", code, version="0.3.1")

    first, _, last = sink_error("shout").partition("\n")

    assert first.startswith("sink 'shout' (streamfan-shout 0.3.1) ")
    assert reason in first
    assert last == "Try: pip install --upgrade streamfan-shout, or leave --sink shout out"


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_plugin_breaks_only_itself(site: Site, code: str, reason: str) -> None:
    site.install_sink("shout", code)
    site.install_sink("healthy", SHOUT.replace("shout", "healthy"))
    plugins = Plugins()

    for _ in range(2):
        with pytest.raises(PluginError):
            plugins.sink("shout")

    assert plugins.sink("healthy").name == "healthy"


def test_name_that_is_no_id_is_refused(site: Site) -> None:
    site.install_sink("my-shout", SHOUT.replace("shout", "my-shout"))

    assert "class 'Shout' has a name that is no id: 'my-shout' cannot be an id" in sink_error("my-shout")


def test_missing_extra_says_itself_what_to_install(site: Site) -> None:
    code = "from streamfan.errors import MissingExtra\nraise MissingExtra(\"sink 'shout'\", 'redis', 'redis')"
    site.install_sink("shout", code)

    with pytest.raises(MissingExtra, match=r"sink 'shout' needs redis.*\nTry: pip install 'streamfan\[redis\]'"):
        Plugins().sink("shout")


@pytest.mark.parametrize(
    ("constructor", "reason"),
    [
        ("raise RuntimeError('boom')", "could not be made: RuntimeError('boom')"),
        ("raise SystemExit(3)", "could not be made: SystemExit(3)"),
        ("super().__init__(target, self.Options())", "could not be made: 1 validation error for Options volume Field"),
    ],
)
def test_sink_that_cannot_be_made_is_named(site: Site, constructor: str, reason: str) -> None:
    options = "    class Options(SinkOptions):\n        volume: int\n"
    init = f"    def __init__(self, target, options):\n        {constructor}\n"
    site.install_sink("shout", CLASS + options + init + WRITE + HOOK)

    with pytest.raises(PluginError) as error:
        Plugins().make_sink(parse("shout"))

    assert str(error.value).startswith(f"sink 'shout' (streamfan-shout 1.0) {reason}")


def test_sinks_own_refusal_of_its_target_passes_as_it_is(site: Site) -> None:
    init = "    def __init__(self, target, options):\n        raise ConfigError('no such place')\n"
    site.install_sink("shout", "from streamfan.errors import ConfigError\n" + CLASS + init + WRITE + HOOK)

    with pytest.raises(Exception, match=r"^no such place$"):
        Plugins().make_sink(parse("shout"))


# Made for another streamfan


@pytest.mark.parametrize("requires", ["streamfan>=2", "streamfan<0.1", "Streamfan[redis]~=2.0; python_version>'3'"])
def test_plugin_for_another_streamfan_is_refused_before_it_is_imported(site: Site, requires: str) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1", requires=requires)

    assert sink_error("shout") == (
        f"sink 'shout' (streamfan-shout 0.3.1) needs {requires}, and this is streamfan {__version__}\n"
        "Try: pip install --upgrade streamfan-shout, or leave --sink shout out"
    )
    assert "streamfan_shout" not in sys.modules


@pytest.mark.parametrize(
    "requires",
    [
        "",
        "streamfan",
        f"streamfan>={__version__},<1000",
        "streamfan[redis]",
        "streamfan>=2; extra == 'future'",
        "streamfan>=2; python_version < '3'",
        "streamfan-other>=2",
        "streamfan is what it needs",
    ],
)
def test_plugin_that_does_not_rule_this_streamfan_out_is_taken(site: Site, requires: str) -> None:
    site.install_sink("shout", SHOUT, requires=requires)

    assert Plugins().sink("shout").name == "shout"


def test_version_before_a_release_is_taken_for_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamfan.compatibility.__version__", "0.2.0.dev3")
    site.install_sink("shout", SHOUT, requires="streamfan>=0.1,<0.3")

    assert Plugins().sink("shout").name == "shout"


def test_observer_for_another_streamfan_is_logged_and_left_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("watch", code=OBSERVER, hooks={"watch": "watch"}, requires="streamfan>=2")

    with caplog.at_level(logging.WARNING):
        assert Plugins().observers() == ()

    assert caplog.messages[0].startswith("hook 'watch' (watch 1.0) needs streamfan>=2, ")
    assert "watch" not in sys.modules


# Slow


def test_import_that_takes_long_is_told_of_while_it_does(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamfan.plugins._PATIENCE", 0.05)
    told = threading.Event()
    monkeypatch.setattr(sys, "told", told, raising=False)
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda _: told.set())
    monkeypatch.setattr(logging.getLogger("streamfan.plugins"), "handlers", [handler])
    site.install_sink("shout", "import sys\nassert sys.told.wait(30)\n" + dedent(SHOUT), version="0.3.1")

    with caplog.at_level(logging.WARNING):
        sink = Plugins().sink("shout")

    assert sink.name == "shout"
    assert caplog.messages == ["sink 'shout' (streamfan-shout 0.3.1) is still being imported after 0.05 s"]


def test_import_that_takes_no_time_is_nothing_to_tell(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install_sink("shout", SHOUT)

    Plugins().sink("shout")

    assert caplog.messages == []
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


# Observers


OBSERVER = """
    from streamfan import hookimpl

    seen = []

    @hookimpl
    def streamfan_finished(stream, report):
        seen.append((stream.id, report.tokens))
"""


def tell(plugins: Plugins) -> None:
    for observer in plugins.observers():
        observer(STREAM, REPORT)


def seen(module: str) -> Any:
    return sys.modules[module].seen


def test_observer_is_told_once_of_every_stream_that_is_over(site: Site) -> None:
    site.install("watch", code=OBSERVER, hooks={"watch": "watch"})
    plugins = Plugins()

    tell(plugins)
    tell(plugins)

    assert seen("watch") == [("a", 3), ("a", 3)]


def test_sinks_module_that_also_observes_is_told_once_it_is_loaded(site: Site) -> None:
    site.install_sink("shout", SHOUT + OBSERVER)
    plugins = Plugins()

    before = plugins.observers()
    plugins.sink("shout")
    tell(plugins)

    assert before == ()
    assert seen("streamfan_shout") == [("a", 3)]


def test_each_observer_is_told_by_itself_and_bears_its_plugins_name(site: Site) -> None:
    site.install("watch", code=OBSERVER, hooks={"watch": "watch"})
    site.install("grumpy", "2.0", code=OBSERVER.replace("seen.append", "seen.fall"), hooks={"grumpy": "grumpy"})

    watch, grumpy = sorted(Plugins().observers(), key=lambda observer: "grumpy" in repr(observer))
    watch(STREAM, REPORT)

    assert seen("watch") == [("a", 3)]
    assert repr(grumpy) == "Observer(plugin='grumpy (grumpy 2.0)')"
    with pytest.raises(AttributeError, match="fall"):
        grumpy(STREAM, REPORT)


def test_observer_that_cannot_be_loaded_is_logged_and_left_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("watch", code=OBSERVER, hooks={"watch": "watch"})
    site.install("broken", code="raise RuntimeError('boom')", hooks={"broken": "broken"})

    with caplog.at_level(logging.WARNING):
        tell(Plugins())

    assert seen("watch") == [("a", 3)]
    assert caplog.messages == [
        (
            "hook 'broken' (broken 1.0) could not be loaded: RuntimeError('boom')\n"
            "Try: pip install --upgrade broken, or pip uninstall broken"
        )
    ]


# What will go


def test_hook_that_will_go_works_and_is_said_to_go(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1")
    advice = DeprecationWarning("give streamfan_destinations() instead; it goes in 0.3")
    deprecated = hookspec(streamfan_sinks_of_old, warn_on_impl=advice)
    monkeypatch.setattr(hookspecs, "streamfan_sinks", deprecated)

    with pytest.warns(DeprecationWarning, match="streamfan_destinations"):
        sink = Plugins().sink("shout")

    assert sink.name == "shout"
    (said,) = caplog.messages
    assert said == f"streamfan-shout 0.3.1: the hook streamfan_sinks() is deprecated: {advice}"


def streamfan_sinks_of_old() -> list[type[Sink]]:
    """As it was."""
    return []
