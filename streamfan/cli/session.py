"""One run from the command line: connect, load, generate, drain, and the exit code that says how it went.

All that can take long happens on a thread of its own, so that the main thread hears signals whatever the model does.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import nullcontext, suppress
from dataclasses import replace
from enum import IntEnum
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.cli import console, last_lines
from streamfan.cli.draining import Draining
from streamfan.cli.leaving import Leaving
from streamfan.cli.summary import show
from streamfan.errors import UsageError
from streamfan.fan import Fan
from streamfan.plugins import plugins
from streamfan.statusline import SCREEN

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from streamfan.config import RunConfig
    from streamfan.report import Report, SinkReport
    from streamfan.source import Request

# From a signal to the end, and what of it the source has; the rest is for sinks to deliver what there is.
_SIGNAL_DEADLINE = 10.0
_SOURCE_SHARE = 0.5
# What is not delivered is kept for as long as that takes, within reason.
_KEEPING = 20.0
# The same after the second signal; and what of it sinks have, for nothing is kept of what they may still be given.
_KEEPING_AT_ONCE = 2.0
_GIVING_UP = 0.5
# How long after a signal the end waits for who reads stderr.
_LAST_WORDS = 1.0
_REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
# How often the main thread looks whether there is still somebody to generate for.
_LOOK = 0.1


class Exit(IntEnum):
    """Exit codes; a signal's is 128 and its number."""

    OK = 0
    GENERATION_FAILED = 1
    USAGE = 2
    SINK_FAILED = 3
    NOT_REACHED = 4
    OUTPUTS_CLOSED = 141


class Session:
    """One run.

    Args:
        config: What to run.
        request: What to ask the source for.
        fan: What the source publishes to; a new one unless given.
    """

    def __init__(self, config: RunConfig, request: Request, fan: Fan | None = None) -> None:
        self._config = config
        self._request = request
        self._fan = Fan() if fan is None else fan
        self._phase = "connecting"
        self._unreached: tuple[SinkReport, ...] = ()
        self._error: BaseException | None = None
        # A plain queue and no Event or Condition: it takes news from a signal handler too, whatever that interrupted.
        self._news: SimpleQueue[None] = SimpleQueue()
        self._given_up = False
        self._may_generate = threading.Event()
        self._signal: signal.Signals | None = None
        self._deadline = inf
        self._leaving = Leaving(self._say_last_words, more=0.0 if config.spill is None else _KEEPING_AT_ONCE)
        # daemon: a model that does not stop must not keep the interpreter alive.
        self._worker = threading.Thread(target=self._work, name="streamfan-source", daemon=True)

    def run(self) -> int:
        """Run to the end, whatever that is, and return the exit code."""
        with console.in_background(lambda: inf if self._signal is None else _LAST_WORDS):
            code = self._run()
        SCREEN.leave()
        self._leaving.close()
        if any(thread.name.startswith("streamfan-") for thread in threading.enumerate()):
            # It is inside a model or a sink. The interpreter's own way of exiting frees what such a thread waits for
            # under its feet: it crashes now and then, or never ends.
            os._exit(code)
        return code

    def _run(self) -> int:
        for number in _REASONS:
            # What a shell has a background job ignore stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        self._add_sinks()
        with self._config.metrics.following(self._fan) if self._config.metrics is not None else nullcontext():
            self._generate()
            with Draining(self._fan):
                self._fan.close()
        code = self._exit_code()
        show(self._report, self._config.summary, code, self._kept)
        self._say_what_failed()
        return code

    def _generate(self) -> None:
        self._worker.start()
        for phase in ("connecting", "loading"):
            with console.waiting(self._doing(phase)):
                self._wait_while(phase)
        # Not before the status line is gone: it would take the first text with it.
        self._may_generate.set()
        self._attend()
        self._given_up = self._phase != "over"

    def _add_sinks(self) -> None:
        # First: nothing connects to stdout while a module is imported, see `streamfan.printed`.
        observers = plugins().observers()
        for sink in self._config.sinks:
            self._fan.add(sink.sink, id=sink.id, lane=sink.lane)
        for observer in observers:
            # That a plugin is installed must not cost the memory of a stream without an end.
            self._fan.observe(observer, keep_text=False)
        if self._config.spill is not None:
            self._fan.observe(self._config.spill, patience=_KEEPING)

    def _work(self) -> None:
        try:
            self._take_steps()
        except BaseException as error:  # noqa: BLE001 - foreign code: a source's, a model's, and SystemExit is no success
            # A source that was given up has its outcome: what it still meets is that its streams have ended.
            if not self._given_up:
                self._error = error
        finally:
            self._enter("over")

    def _take_steps(self) -> None:
        unreached = tuple(report for report in self._fan.reach() if report.required and not report.left)
        if self._signal is not None:
            return
        self._unreached = unreached
        if unreached:
            return
        self._enter("loading")
        self._config.source.load(self._request)
        self._enter("generating")
        self._may_generate.wait()
        if self._signal is None:
            self._produce()

    def _produce(self) -> None:
        self._config.source.run(self._fan, self._request)

    def _attend(self) -> None:
        self._wait_while("generating")

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._news.put(None)

    def _doing(self, phase: str) -> str:
        return f"loading {self._name}" if phase == "loading" else phase

    @property
    def _name(self) -> str:
        return self._request.model or self._config.source.label

    def _wait_while(self, phase: str) -> None:
        while self._phase == phase and monotonic() < self._deadline:
            if self._signal is not None and phase != "generating":
                # Nothing was generated yet, so there is nothing to wait for.
                return
            with suppress(Empty):
                self._news.get(timeout=_LOOK)
            self._cancel_if_wanted()

    def _cancel_if_wanted(self) -> None:
        """Ask the source to stop if somebody wants that; on every look, for a stream may have been opened since."""
        if self._signal is not None:
            self._fan.cancel(_REASONS[self._signal], by=self._signal.name)
        elif self._fan.deserted:
            self._fan.cancel("every output was closed", by="streamfan")
        elif self._config.abort and self._fan.failed:
            self._fan.cancel(f"sink {self._fan.failed[0]!r} failed", by="streamfan")

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signal is not None:
            self._leaving.now(128 + number)
        self._signal = signal.Signals(number)
        self._deadline = monotonic() + _SOURCE_SHARE * _SIGNAL_DEADLINE
        self._cancel_if_wanted()
        self._fan.expire(_SIGNAL_DEADLINE)
        self._news.put(None)
        console.say("\nstreamfan: stopping; once more to exit at once")

    @property
    def _report(self) -> Report:
        """What became of everything; of sinks that were not reached as it was then, unless the end has told more."""
        report = self._fan.report
        unreached = {sink.id: sink for sink in self._unreached}
        sinks = tuple(sink if sink.failed else unreached.get(sink.id, sink) for sink in report.sinks)
        return replace(report, sinks=sinks)

    @property
    def _kept(self) -> tuple[Path, ...]:
        return () if self._config.spill is None else tuple(self._config.spill.kept.values())

    def _exit_code(self) -> int:
        report = self._report
        if isinstance(self._error, UsageError):
            return Exit.USAGE
        if self._unreached:
            return Exit.NOT_REACHED
        if self._error is not None or self._generation_failed:
            return Exit.GENERATION_FAILED
        if self._signal is not None:
            return 128 + self._signal
        if report.failures:
            return Exit.SINK_FAILED
        return Exit.OUTPUTS_CLOSED if self._fan.deserted else Exit.OK

    @property
    def _generation_failed(self) -> bool:
        return self._report.metrics.ended_by("error") > 0

    def _say_what_failed(self) -> None:
        if self._error is not None:
            console.complain(self._error)
        self._say_how_streams_ended()
        last_lines.say_missing(self._report)
        self._say_what_is_kept()

    def _say_what_is_kept(self) -> None:
        if self._config.spill is not None:
            last_lines.say_kept(self._kept)
            last_lines.say_unkept(self._config.spill.unkept)

    def _say_how_streams_ended(self) -> None:
        if self._error is None:
            last_lines.say_failed_streams(self._report)
        if self._signal is None and not self._fan.deserted:
            last_lines.say_cancelled_streams(self._report)

    def _say_last_words(self) -> None:
        SCREEN.leave()
        in_time = self._config.spill is None or self._keep_at_once()
        last_lines.say_missing(self._report)
        self._say_what_is_kept()
        if not in_time:
            console.say("Error: there was no time to keep all that was not delivered")

    def _keep_at_once(self) -> bool:
        """Give up all sinks, so that what they lack is kept; False if that takes longer than anybody waits now."""
        # On a thread of its own: whoever was interrupted may hold what it needs, and the disk may not answer.
        closing = threading.Thread(target=self._fan.close, args=(_GIVING_UP,), name="streamfan-keeping", daemon=True)
        closing.start()
        closing.join(_KEEPING_AT_ONCE)
        return not closing.is_alive()
