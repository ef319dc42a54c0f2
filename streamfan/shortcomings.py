"""What keeps a class that a plugin gives from being used, in words; it may be anything, by anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from streamfan.errors import SpecError
from streamfan.specs import check_id

if TYPE_CHECKING:
    from streamfan.sink import Sink
    from streamfan.source import Source


def shown(value: object) -> str:
    """A value's repr, on one line; its class where that has no working one."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign code: what cannot be shown is still what was given
        text = f"<{type(value).__qualname__}>"
    return " ".join(text.split())


def why_no_plugin(kind: str, plugin: object) -> str | None:
    """Why this cannot even be asked for its names."""
    from streamfan.sink import Sink
    from streamfan.source import Source

    base: type = Sink if kind == "sink" else Source
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        return f"could not be loaded: streamfan_{kind}s() gave {shown(plugin)}, which is no subclass of {base.__name__}"
    if not isinstance(getattr(plugin, "name", None), str):
        return f"could not be loaded: class {plugin.__qualname__!r} has no name"
    aliases: object = cast("type[Sink | Source]", plugin).aliases
    if not (isinstance(aliases, tuple) and all(isinstance(alias, str) for alias in aliases)):
        return f"could not be loaded: class {plugin.__qualname__!r} has aliases that are no tuple of names"
    return None


def why_unusable(kind: str, plugin: type[Sink | Source]) -> str | None:
    """What keeps a plugin that was asked for from being used; raises what a part of it raises."""
    reason = _shortcoming(kind, plugin)
    return reason and f"cannot be used: class {plugin.__qualname__!r} {reason}"


def _shortcoming(kind: str, plugin: type[Sink | Source]) -> str | None:
    from streamfan.sink import SinkOptions
    from streamfan.source import SourceOptions

    expected: type = SinkOptions if kind == "sink" else SourceOptions
    options: object = plugin.Options
    example: object = plugin.example
    if plugin.__abstractmethods__:
        return f"lacks {', '.join(sorted(plugin.__abstractmethods__))}()"
    if not (isinstance(options, type) and issubclass(options, expected)):
        return f"has Options that are no subclass of {expected.__name__}"
    # Of a type that is written as text and cannot be found, pydantic speaks when the first options are made.
    plugin.Options.model_rebuild()
    if not isinstance(example, str):
        return f"has an example that is no text: {shown(example)}"
    return _unusable_words(cast("type[Sink]", plugin)) if kind == "sink" else None


def _unusable_words(sink: type[Sink]) -> str | None:
    from streamfan.options import LaneOptions

    try:
        check_id(sink.name)
    except SpecError as error:
        return f"has a name that is no id: {str(error).splitlines()[0]}"
    defaults: object = sink.lane_defaults
    if not isinstance(defaults, LaneOptions):
        return f"has lane_defaults that are no LaneOptions: {shown(defaults)}"
    # Keys of a sink's table in the configuration file, and of its lane's in environment variables.
    taken = [
        name for name in sink.Options.model_fields if name in {"type", "target", "lane"} or name.startswith("lane_")
    ]
    return f"has an option {taken[0]!r}, a word that is taken" if taken else None
