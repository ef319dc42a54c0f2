"""Asks a server until it has answered: waiting, trying again, going on, and stopping when nobody wants more.

A request is tried again only as long as no text was published; after that, one more would print everything again.
What came stays in any case, and a stream that lacks some of its text says so.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import tenacity

from streamfan.errors import SourceError, text_of
from streamfan.events import Fault, well_formed
from streamfan.sources.openai.answer import Answer
from streamfan.sources.openai.faults import CutOff, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from streamfan.fan import Fan
    from streamfan.sources.openai.deltas import Message
    from streamfan.sources.openai.options import ServerOptions
    from streamfan.sources.openai.request import Query

_log = logging.getLogger("streamfan.sources.openai")

# How long the rest may take when all text is there: only the token counts may still come.
_AFTERWARDS = 2.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Transport(Protocol):
    """How a server is reached.

    Entering sends the request. Each raises `Unavailable` where the connection fails, before or in the answer, and
    `SourceError` where the server refuses, or says what nobody understands.

    Attributes:
        ends: Whether an answer has an end of its own, behind its last text.
    """

    ends: bool

    def __call__(self, body: dict[str, Any], /) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Ask for `body`, and give the messages of the answer; leaving hangs up."""


async def ask(fan: Fan, query: Query, transport: Transport, *, hide: Callable[[str], str]) -> None:
    """Publish to `fan` what the server answers; every stream opened has an outcome by then.

    Args:
        hide: Takes out of a text what nobody is to see.

    Raises:
        UsageError: The fan is closed.
    """
    asking = _Asking(fan, query, transport, hide)
    try:
        await asking.run()
    except asyncio.CancelledError:
        # By those who read the streams, whose reasons are known then, or from outside.
        asking.answer.cancel("interrupted", by="program")
        if not asking.cancelled:
            raise
    except BaseException as error:  # foreign code: a client library's; every stream has an outcome
        asking.answer.fail(Fault(type(error).__name__, well_formed(hide(text_of(error)))))
        if not isinstance(error, SourceError):
            raise


class _Asking:
    """One query, and its answer.

    Attributes:
        answer: What has come of it.
        cancelled: Whether this was stopped because nobody wants the rest.
    """

    def __init__(self, fan: Fan, query: Query, transport: Transport, hide: Callable[[str], str]) -> None:
        self._query = query
        self._options: ServerOptions = query.options
        self._transport = transport
        self._hide = hide
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self.cancelled = False
        self.answer = Answer(
            fan,
            model=query.request.model,
            max_tokens=query.max_tokens,
            n=self._options.n,
            reasoning=self._options.reasoning,
            tell=self._tell,
        )

    def _tell(self) -> None:
        # Somebody may ask when everything is over.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self.answer.hear()
        if self.answer.deserted and not self.cancelled and self._task is not None and not self._task.done():
            self.cancelled = True
            self._task.cancel()

    async def run(self) -> None:
        """Ask, and go on asking for the rest where that is wanted.

        Raises:
            SourceError: There is no text to be had, or no more.
        """
        body: dict[str, Any] | None = self._query.body()
        while body is not None:
            try:
                await self._ask_again_and_again(body)
            except CutOff as error:
                if not (self._options.resume == "continue" and self.answer.can_continue):
                    raise
                _log.warning("%s; asking for the rest", self._hide(str(error)))
                # A server that breaks off again and again is not asked as fast as it can.
                await asyncio.sleep(_FIRST_PAUSE)
                body = self._query.body_to_continue(self.answer.text, self.answer.tokens)
            else:
                self.answer.end()
                return
        self.answer.end("length")

    async def _ask_again_and_again(self, body: dict[str, Any]) -> None:
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=_pause,
            stop=tenacity.stop_before_delay(self._options.max_elapsed),
            before_sleep=self._complain,
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                await self._ask(body)

    def _complain(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        # Once is enough for people.
        level = logging.WARNING if state.attempt_number == 1 else logging.INFO
        _log.log(level, "%s; trying again", self._hide(str(error)))

    async def _ask(self, body: dict[str, Any]) -> None:
        self.answer.start()
        try:
            await self._listen(body)
            self.answer.check()
        except SourceError as error:
            # What goes wrong once all text is there is nobody's loss.
            if self.answer.finished:
                return
            # An end that nobody meant: something is lacking then, or all of it, which can be asked for again.
            unmeant = CutOff if self.answer.begun else Unavailable
            if isinstance(error, CutOff | Unavailable) and not isinstance(error, unmeant):
                raise unmeant(str(error)) from error
            raise

    async def _listen(self, body: dict[str, Any]) -> None:
        waited = self._options.first_token_timeout
        try:
            async with asyncio.timeout(waited) as clock, self._transport(body) as messages:
                async for message in messages:
                    if self.answer.take(message):
                        waited = _AFTERWARDS if self.answer.finished else self._options.token_timeout
                        clock.reschedule(self._loop.time() + waited)
                    if message.done or (self.answer.finished and not self._more_may_come):
                        return
        except TimeoutError:
            # Not tried again: that would take as long.
            raise (CutOff if self.answer.begun else SourceError)(f"no token has come for {waited:g} s") from None

    @property
    def _more_may_come(self) -> bool:
        """Whether there is something to wait for once all text is there."""
        return self._transport.ends or self._options.usage


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: full jitter, and what the server asked for at least."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.after if isinstance(error, Unavailable) else None
    return max(_JITTER(state), asked or 0.0)


_JITTER = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)
