"""Finding and loading sinks, sources and observers: what is installed, and the class behind a name.

A plugin is a distribution with an entry point. Its module is imported when its sink or source is named and not before,
so what a plugin does at import, and whether it can be imported at all, concerns only those who name it.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib import metadata
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, cast

import pluggy

from streamfan import __version__, hookspecs
from streamfan.compatibility import unmet
from streamfan.errors import MissingExtra, PluginError, StreamfanError, UsageError
from streamfan.forks import leave_child
from streamfan.hookspecs import hookimpl
from streamfan.printed import aside
from streamfan.shortcomings import shown, why_no_plugin, why_unusable
from streamfan.specs import Spec, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan.report import StreamReport
    from streamfan.sink import Sink, SinkOptions
    from streamfan.source import Source, SourceOptions
    from streamfan.stream import Stream

__all__ = ["Kind", "Listing", "Observer", "Plugins", "hookimpl", "plugins"]

Kind = Literal["sink", "source", "hook"]
"""What an entry point brings; its group is `streamfan.` and the plural."""

_KINDS: tuple[Kind, ...] = ("sink", "source", "hook")
_OWN = "streamfan"
_PATIENCE = 2.0
"""Seconds that importing a module takes before somebody is told."""
_log = logging.getLogger(__name__)
# For those who write plugins; nobody else need see it, however much they want to know.
_trace = logging.getLogger("streamfan-plugins")


@dataclass(frozen=True, slots=True, order=True)
class Listing:
    """An installed sink, source or observer, as the metadata of its distribution tells it."""

    name: str
    distribution: str
    version: str
    module: str

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Observer:
    """A plugin that wants to know of streams that are over; call it, once for each."""

    plugin: str
    _tell: Callable[..., object] = field(repr=False)

    def __call__(self, stream: Stream, report: StreamReport) -> None:
        """Tell it; raises what the plugin raises."""
        self._tell(stream=stream, report=report)


class Plugins:
    """The plugins of this environment; what is installed is looked up once, when first asked."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        # Reentrant: a plugin's import may ask for another plugin.
        self._lock = threading.RLock()
        self._provided: dict[tuple[Kind, Any], tuple[Any, ...]] = {}

    def installed(self, kind: Kind) -> tuple[Listing, ...]:
        """Everything of this kind, sorted by name; imports nothing."""
        return tuple(sorted(listing for listing, _ in self._entries[kind]))

    def sink(self, name: str) -> type[Sink]:
        """The sink with this name or URL scheme.

        Raises:
            PluginError: It is unknown, broken, or claimed by two distributions.
            MissingExtra: Its module needs an optional dependency.
        """
        return cast("type[Sink]", self._load("sink", name))

    def source(self, name: str) -> type[Source]:
        """The source with this name or URL scheme; raises what `sink` raises."""
        return cast("type[Source]", self._load("source", name))

    def make_sink(self, spec: Spec, options: SinkOptions | None = None) -> Sink:
        """A new sink as specified; its id is `spec.id`, else its name.

        Raises:
            UsageError: There is no such sink, or it refuses its target or options.
        """
        return cast("Sink", self._make("sink", spec, options))

    def make_source(self, spec: Spec, options: SourceOptions | None = None) -> Source:
        """A new source as specified; raises what `make_sink` raises."""
        return cast("Source", self._make("source", spec, options))

    def observers(self) -> tuple[Observer, ...]:
        """Everybody who implements `streamfan_finished`: modules of the group `streamfan.hooks`, and what is loaded.

        A module that cannot be loaded is logged and left out: nobody named it, so nobody's work may fail with it.
        """
        with self._lock:
            for listing, entry in self._entries["hook"]:
                try:
                    self._register("hook", listing, entry)
                except UsageError as error:
                    _log.warning("%s", error)
            modules = [impl.plugin for impl in self._manager.hook.streamfan_finished.get_hookimpls()]
        return tuple(
            Observer(self._manager.get_name(module) or "", partial(self._call, "streamfan_finished", module))
            for module in modules
        )

    @cached_property
    def _entries(self) -> dict[Kind, list[tuple[Listing, metadata.EntryPoint]]]:
        every = metadata.entry_points()
        return {kind: [(_listing(entry), entry) for entry in every.select(group=_group(kind))] for kind in _KINDS}

    def _make(self, kind: Kind, spec: Spec, options: object) -> Any:
        plugin = self._load(kind, spec.name)
        listing, _ = self._find(kind, spec.name)
        with _blamed(kind, listing, "could not be made:", but=StreamfanError):
            return plugin(spec.bound(plugin).target, options)

    def _load(self, kind: Kind, name: str) -> Any:
        with self._lock:
            listing, entry = self._find(kind, name)
            module = self._register(kind, listing, entry)
            provided = self._ask(kind, listing, module)
        for plugin in provided:
            with _blamed(kind, listing, "cannot be used:"):
                reason, meant = why_no_plugin(kind, plugin), False
                if reason is None and (meant := name in {plugin.name, *plugin.aliases}):
                    reason = why_unusable(kind, plugin)
            if reason:
                raise _fault(kind, listing, reason)
            if meant:
                return plugin
        names = ", ".join(repr(plugin.name) for plugin in provided)
        unmarked = not provided and hasattr(module, f"streamfan_{kind}s")
        nothing = f"nothing, it lacks: @hookimpl def streamfan_{kind}s(): return [...]"
        instead = names or (f"is @hookimpl missing above streamfan_{kind}s()?" if unmarked else nothing)
        raise _fault(kind, listing, f"is not what {listing.module!r} provides: {instead}")

    def _find(self, kind: Kind, name: str) -> tuple[Listing, metadata.EntryPoint]:
        claims = [claim for claim in self._entries[kind] if claim[0].name == name]
        if not claims:
            raise PluginError(_unknown(kind, name, {listing.name for listing, _ in self._entries[kind]}))
        if len(claims) > 1:
            raise PluginError(_claimed_twice(kind, name, [listing for listing, _ in claims]))
        return claims[0]

    def _register(self, kind: Kind, listing: Listing, entry: metadata.EntryPoint) -> Any:
        begun = monotonic()
        module = _imported(kind, listing, entry)
        if self._manager.is_registered(module):
            return module
        took = 1000 * (monotonic() - begun)
        _trace.debug("%s %r: imported %s (%s) in %.0f ms", kind, listing.name, listing.module, listing.origin, took)
        try:
            self._manager.register(module, f"{listing.module} ({listing.origin})")
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            reason = self._misspelt(module) or _flat(error)
            if self._manager.is_registered(module):
                self._manager.unregister(module)
            raise _fault(kind, listing, f"could not be registered: {reason}") from error
        self._warn_of_deprecated(module, listing)
        return module

    def _warn_of_deprecated(self, module: Any, listing: Listing) -> None:
        # pluggy warns too, which the author sees under pytest, and nobody at a shell.
        for caller in self._manager.get_hookcallers(module) or ():
            if caller.spec is not None and caller.spec.warn_on_impl is not None:
                advice = caller.spec.warn_on_impl
                _log.warning("%s: the hook %s() is deprecated: %s", listing.origin, caller.name, advice)

    def _misspelt(self, module: Any) -> str:
        callers = self._manager.get_hookcallers(module) or ()
        known = [name for name in vars(hookspecs) if name.startswith("streamfan_")]
        wrong = [caller.name for caller in callers if not caller.has_spec()]
        return "; ".join(f"there is no hook {name!r}{did_you_mean(name, known)}" for name in wrong)

    def _ask(self, kind: Kind, listing: Listing, module: Any) -> tuple[Any, ...]:
        if (kind, module) not in self._provided:
            hook = f"streamfan_{kind}s"
            with _blamed(kind, listing, f"could not be loaded: {hook}() raised"):
                provided = tuple(plugin for plugins in self._call(hook, module) for plugin in plugins)
            self._provided[kind, module] = provided
        return self._provided[kind, module]

    def _call(self, hook: str, module: Any, **arguments: object) -> Any:
        # One implementation at a time: of a call to all of them, the first that raises would be the end.
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not module]
        _trace.debug("calling %s() of %s", hook, self._manager.get_name(module))
        return self._manager.subset_hook_caller(hook, others)(**arguments)


@cache
def plugins() -> Plugins:
    """The plugins of this process."""
    return Plugins()


def _renew() -> None:
    """In a forked child: the lock may have been held by a thread that the child does not have."""
    if plugins.cache_info().currsize:
        plugins()._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def _group(kind: Kind) -> str:
    return f"streamfan.{kind}s"


def _listing(entry: metadata.EntryPoint) -> Listing:
    assert entry.dist is not None, "entry_points() knows the distribution of each"
    # An uninstallation that was cut short leaves entry points without a name to go by.
    name, version = (entry.dist.metadata.get_all(key, ["unknown"])[0] for key in ("Name", "Version"))
    return Listing(entry.name, name, version, entry.value)


def _imported(kind: Kind, listing: Listing, entry: metadata.EntryPoint) -> Any:
    assert entry.dist is not None, "entry_points() knows the distribution of each"
    if listing.distribution != _OWN and (required := unmet(entry.dist)):
        raise _fault(kind, listing, f"needs {required}, and this is streamfan {__version__}")
    with _blamed(kind, listing, "could not be loaded:"), _told_if_slow(kind, listing), aside():
        return entry.load()


@contextmanager
def _blamed(kind: Kind, listing: Listing, what: str, *, but: type[StreamfanError] = MissingExtra) -> Iterator[None]:
    """Say of whatever a plugin's own code raises whose it is; a process that it forks does not come out of here.

    Args:
        but: What it may raise as it is.
    """
    process = os.getpid()
    try:
        yield
    except (KeyboardInterrupt, but):
        raise
    # SystemExit too: it would end the program without a word. And a module in Rust panics with what is no Exception.
    except BaseException as error:
        leave_child(process, error)
        raise _fault(kind, listing, f"{what} {shown(error)}") from error
    leave_child(process)


@contextmanager
def _told_if_slow(kind: Kind, listing: Listing) -> Iterator[None]:
    """Say whose import it is that everybody waits for."""
    line = "%s %r (%s) is still being imported after %g s"
    timer = threading.Timer(_PATIENCE, _log.warning, (line, kind, listing.name, listing.origin, _PATIENCE))
    # daemon: an import that never ends must not keep the interpreter alive once it is told to.
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _fault(kind: Kind, listing: Listing, reason: str) -> PluginError:
    what = f"{kind} {listing.name!r} ({listing.origin})"
    without = f"pip uninstall {listing.distribution}" if kind == "hook" else f"leave --{kind} {listing.name} out"
    return PluginError(f"{what} {reason}\nTry: pip install --upgrade {listing.distribution}, or {without}")


def _unknown(kind: Kind, name: str, known: set[str]) -> str:
    return (
        f"unknown {kind} {name!r}{did_you_mean(name, known)}\n"
        f"Try: one of {', '.join(sorted(known)) or '(none installed)'}, or install the plugin that brings {name!r}"
    )


def _claimed_twice(kind: Kind, name: str, claims: list[Listing]) -> str:
    strangers = sorted({listing.distribution for listing in claims} - {_OWN}) or [_OWN]
    return (
        f"{kind} {name!r} is claimed by {' and '.join(listing.origin for listing in sorted(claims))}\n"
        f"Try: pip uninstall {' or '.join(strangers)}"
    )


def _flat(error: pluggy.PluginValidationError) -> str:
    return " ".join(str(error).split())
