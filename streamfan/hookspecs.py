"""The hooks: what a plugin's module may implement, each with `hookimpl` and without `self`.

A module is imported when its sink or source is named; that it is installed costs nothing. No text passes through a
hook: one implementation that raises would keep it from all the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.report import StreamReport
    from streamfan.sink import Sink
    from streamfan.source import Source
    from streamfan.stream import Stream

PROJECT = "streamfan"
"""The name that pluggy knows these hooks by."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def streamfan_sinks() -> Iterable[type[Sink]]:  # type: ignore[empty-body]
    """Give the sinks that this module provides.

    Called once, right after the module was imported because one of its sinks was named. The class whose `name` is the
    name that was asked for, or has it among its `aliases`, is taken.
    """


@hookspec
def streamfan_sources() -> Iterable[type[Source]]:  # type: ignore[empty-body]
    """Give the sources that this module provides.

    Called once, right after the module was imported because one of its sources was named. The class whose `name` is the
    name that was asked for, or has it among its `aliases`, is taken.
    """


@hookspec
def streamfan_finished(stream: Stream, report: StreamReport) -> None:
    """Observe a stream that is over: it has an outcome, and every lane has closed it or given it up.

    Called once per stream, never on the thread that produces text. What it raises is logged, and changes nothing else.
    Of a stream without an end only the last text may be kept, from `stream.start` on.
    """
