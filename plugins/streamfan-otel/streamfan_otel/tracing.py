"""Whose child a stream's span is.

A sink works on a thread of its own, where nothing is current. So what was current when the stream was opened travels in
its meta, as `traceparent`, and reaches whoever reads the stream elsewhere too.

Source: W3C Trace Context; for a process, OpenTelemetry's "Environment Variables as Context Propagation Carriers".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from streamfan import Fan

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from streamfan import Stream, StreamInfo

_FIELDS = ("traceparent", "tracestate")


def trace_context() -> dict[str, str]:
    """The span that is current here, for the meta of a stream; empty where there is none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


class TracedFan(Fan):
    """A fan whose streams are children of the span that is current where they are opened.

    That is also the thread that `start` and `generate` have their model work in, and each call of a streamer's model.
    """

    def open(self, id: str | None = None, *, meta: dict[str, Any] | None = None, **more: Any) -> Stream:
        """See `Fan.open`; a `traceparent` in `meta` stays what it is."""
        return super().open(id, meta={**trace_context(), **(meta or {})}, **more)


def parent_of(stream: StreamInfo, *, of_the_process: bool) -> Context:
    """The context that a stream's span belongs into; an empty one where none is known, or none that is valid.

    Args:
        of_the_process: Whether the parent of this process is that of streams that name none.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    named = {name: value for name in _FIELDS if isinstance(value := stream.meta.get(name), str)}
    inherited = {name: value for name in _FIELDS if (value := os.environ.get(name.upper()))} if of_the_process else {}
    return TraceContextTextMapPropagator().extract(named or inherited, context=Context())
