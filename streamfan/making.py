"""A sink from whatever a program says it is to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from streamfan.errors import UsageError
from streamfan.plugins import plugins
from streamfan.sink import Sink
from streamfan.sinks.callback import Callback, Listener, ListenerSink
from streamfan.specs import did_you_mean, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamfan.sink import SinkOptions


SinkLike = str | Sink | Listener | Callable[[str, bool], object]


def made(sink: SinkLike, options: Mapping[str, Any]) -> tuple[Sink, str | None]:
    """The sink meant, and the id that its specification gives it.

    Args:
        sink: A specification ("file:answer.txt"), a `Sink`, a callable `(text, end)`, or a `Listener`.
        options: Options of a sink that is specified; the others have theirs.

    Raises:
        UsageError: There is no such sink or option, or a value is refused.
    """
    if isinstance(sink, str):
        spec = parse(sink)
        return plugins().make_sink(spec, _checked(plugins().sink(spec.name), options) if options else None), spec.id
    if options:
        raise UsageError(f"options ({', '.join(options)}) belong to a specification, and {sink!r} is none")
    if isinstance(sink, Sink):
        if not isinstance(getattr(sink, "name", None), str):
            raise UsageError(f'class {type(sink).__qualname__!r} has no name\nTry: name = "..." in the class')
        return sink, None
    if isinstance(sink, Listener):
        return ListenerSink(sink), None
    if callable(sink):
        return Callback(sink), None
    raise UsageError(
        f"{sink!r} is no sink, expected a specification such as 'file:answer.txt', a Sink, a callable (text, end), "
        "or an object with on_token(text)"
    )


def _checked(type_: type[Sink], options: Mapping[str, Any]) -> SinkOptions:
    known = type_.Options.model_fields
    for name in options:
        if name not in known:
            raise UsageError(
                f"sink {type_.name!r} has no option {name!r}{did_you_mean(name, known)}\n"
                f"Try: one of {', '.join(known)}; those of its lane are in lane=LaneOptions(...)"
            )
    try:
        return type_.Options(**options)
    except ValidationError as error:
        # Without the value, which may be a secret.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or ", ".join(options)
        raise UsageError(f"sink {type_.name!r}, option {name!r}: {first['msg']}") from None
