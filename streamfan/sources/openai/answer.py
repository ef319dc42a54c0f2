"""What a server says, published: one stream for each choice, and one beside it for what the model thought."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamfan.errors import StreamEnded
from streamfan.events import well_formed
from streamfan.sources.openai.faults import CutOff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamfan.events import Fault, FinishReason
    from streamfan.fan import Fan
    from streamfan.sources.openai.deltas import Delta, Message, ToolCall
    from streamfan.stream import Stream

_log = logging.getLogger("streamfan.sources.openai")

# Every other reason is a kind of stop; meta has it as the server said it.
_REASONS: dict[str, FinishReason] = {"length": "length", "max_tokens": "length"}


class Answer:
    """The streams of one request; the first is open from the start, each other one from its first message on.

    Args:
        model: What was asked for.
        max_tokens: How many tokens each choice has at most, where that was said.
        n: How many choices there are to be; others are left out.
        reasoning: Whether to publish reasoning.
        tell: Called from any thread when a stream was cancelled, or has ended; must not block.

    Attributes:
        begun: Whether the current request has brought text that was published: asked again, it would come twice.
    """

    def __init__(
        self,
        fan: Fan,
        *,
        model: str | None,
        max_tokens: int | None,
        n: int,
        reasoning: bool,
        tell: Callable[[], object],
    ) -> None:
        self._fan = fan
        self._model = model
        self._max_tokens = max_tokens
        self._n = n
        self._reasoning = reasoning
        self._tell = tell
        self._choices: dict[int, Choice] = {}
        self._usage: dict[str, int] = {}
        self._served_model = ""
        self._empty = True
        self._done = False
        self.begun = False
        self._tokens = 0
        self._tokens_before = 0
        self._counted_before: int | None = 0
        self._choice(0)

    @property
    def finished(self) -> bool:
        """Whether every choice has all of its text."""
        return self._done or (len(self._choices) == self._n and all(choice.over for choice in self._choices.values()))

    @property
    def deserted(self) -> bool:
        """Whether nobody wants any of it: all streams have ended, or were asked to."""
        return all(choice.unwanted for choice in self._choices.values())

    @property
    def text(self) -> str:
        """All of the first choice so far."""
        return self._choices[0].stream.text

    @property
    def tokens(self) -> int:
        """How many tokens it has so far: by the server, else as many as there were messages."""
        return self._tokens_before + self._tokens

    @property
    def counted(self) -> int | None:
        """How many tokens it has by the server's own count; None where that lacks some, or is of several choices."""
        count = self._usage.get("completion_tokens")
        if self._n > 1 or count is None or self._counted_before is None:
            return None
        return self._counted_before + count

    @property
    def can_continue(self) -> bool:
        """Whether a model could go on from here: half a call to a tool is nothing to go on from."""
        return bool(self.text) and not self._choices[0].calls

    def start(self) -> None:
        """A request begins: for what follows the text so far, or once more for what the last one has not brought."""
        if self.begun:
            self._tokens_before, self._counted_before = self.tokens, self.counted
        for choice in self._choices.values():
            choice.start()
        self.begun = False
        self._tokens = 0
        self._usage = {}
        self._empty = True

    def take(self, message: Message) -> bool:
        """Publish a message, and say whether it has brought any progress."""
        self._empty = False
        self._usage = message.usage or self._usage
        self._served_model = message.model or self._served_model
        self._done = self._done or message.done
        moved = [self._publish(delta) for delta in message.deltas if delta.is_progress]
        self._tokens = self._usage.get("completion_tokens", self._tokens + any(moved))
        return any(moved)

    def _publish(self, delta: Delta) -> bool:
        if delta.index >= self._n or self.deserted:
            return False
        self._choice(delta.index).take(delta)
        self.begun = self.begun or bool(delta.text or (delta.reasoning and self._reasoning))
        return True

    def _choice(self, index: int) -> Choice:
        if index not in self._choices:
            stream = self._open(row=index, max_tokens=self._max_tokens)
            self._choices[index] = Choice(self._fan, stream, self._open if self._reasoning else None)
        return self._choices[index]

    def _open(
        self,
        id: str | None = None,
        row: int = 0,
        meta: dict[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> Stream:
        stream = self._fan.open(id, model=self._model, row=row, meta=meta, max_tokens=max_tokens)
        stream.on_cancel(self._tell)
        stream.on_end(self._tell)
        return stream

    # The end

    def check(self) -> None:
        """Return if the server has said all that was asked for.

        Raises:
            CutOff: It has not.
        """
        if self._empty:
            raise CutOff("the server answered with nothing")
        if not (self._done or all(choice.over for choice in self._choices.values())):
            raise CutOff("the answer was cut off: it ends with neither finish_reason nor [DONE]")
        if len(self._choices) < self._n:
            _log.warning("the server gave %d of %d answers", len(self._choices), self._n)

    def end(self, finish_reason: str = "") -> None:
        """End every stream: as the server said, else as `finish_reason`."""
        for choice, said in self._all_with_said():
            choice.end(choice.finish_reason or finish_reason, said)

    def fail(self, fault: Fault) -> None:
        """End every stream that has not all of its text with an error."""
        for choice, said in self._all_with_said():
            if choice.over:
                choice.end(choice.finish_reason, said)
            else:
                choice.fail(fault, said)

    def hear(self) -> None:
        """End the streams that were asked to stop, while the others go on."""
        for choice, said in self._all_with_said():
            choice.hear(said)

    def cancel(self, reason: str, by: str) -> None:
        """End every stream as cancelled, by whoever asked first."""
        for choice in self._choices.values():
            choice.cancel(reason, by)
        self.end()

    def _all_with_said(self) -> Iterator[tuple[Choice, Said]]:
        for index, choice in self._choices.items():
            # Once: it is what all choices took together.
            usage = {"usage": self._usage} if self._usage and index == 0 else {}
            model = {"model": well_formed(self._served_model)} if self._served_model else {}
            yield choice, Said({**model, **usage, **choice.meta}, self.counted)


@dataclass(frozen=True, slots=True)
class Said:
    """What the end of a stream says beside its reason.

    Attributes:
        tokens: How many there were, where the server has counted them.
    """

    meta: dict[str, Any]
    tokens: int | None = None


class Choice:
    """One choice, and its streams.

    Args:
        stream: Of its text.
        open_another: Opens the stream for its reasoning; None where that is not wanted.

    Attributes:
        finish_reason: In the server's words; empty while there is more to come.
        calls: Its calls to tools, in parts.
    """

    def __init__(self, fan: Fan, stream: Stream, open_another: Callable[..., Stream] | None) -> None:
        self._fan = fan
        self.stream = stream
        self._open_another = open_another
        self._reasoning: Stream | None = None
        self._has_thought = False
        self.finish_reason = ""
        self.calls: list[list[ToolCall]] = []

    @property
    def unwanted(self) -> bool:
        """Whether nobody wants its text."""
        return self.stream.ended or self.stream.cancelled is not None

    @property
    def over(self) -> bool:
        """Whether no more text is to come, or wanted."""
        return bool(self.finish_reason) or self.unwanted

    def start(self) -> None:
        """Another request begins, which says again what is not text."""
        self._has_thought = False
        self.finish_reason = ""
        self.calls = []

    def take(self, delta: Delta) -> None:
        """Publish what came."""
        if self.unwanted:
            self.stream.end()
            return
        self._has_thought = self._has_thought or bool(delta.reasoning)
        with suppress(StreamEnded):
            if delta.reasoning and (reasoning := self._reasoning_stream()):
                reasoning.write(delta.reasoning)
        with suppress(StreamEnded):
            self.stream.write(delta.text)
        for call in delta.tool_calls:
            self._take_call(call)
        self.finish_reason = delta.finish_reason or self.finish_reason

    def _take_call(self, part: ToolCall) -> None:
        parts = next((parts for parts in reversed(self.calls) if parts[0].index == part.index), None)
        # Ollama numbers every call 0. The id alone tells nothing: there are servers that give each part a new one.
        if parts is None or (part.id and part.name and part.id != parts[0].id):
            self.calls.append([part])
        else:
            parts.append(part)

    def _reasoning_stream(self) -> Stream | None:
        if self._reasoning is None and self._open_another is not None and not self._fan.cancelled:
            meta = {"of": self.stream.id}
            self._reasoning = self._open_another(f"{self.stream.id}-reasoning", self.stream.info.row, meta)
        return self._reasoning

    @property
    def meta(self) -> dict[str, Any]:
        """What the end event says of it."""
        calls = [_whole(parts) for parts in sorted(self.calls, key=lambda parts: parts[0].index)]
        meta: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if self.finish_reason not in {"", "stop", "length"}:
            meta["finish_reason"] = well_formed(self.finish_reason)
        return meta

    def end(self, finish_reason: str, said: Said) -> None:
        """End its streams; a cancelled one as that."""
        if self._has_thought and not self.stream.length and self._open_another is None:
            _log.warning("the answer is empty, for the model only thought; try: -o source.reasoning=true")
        for stream, each in self._streams(said):
            reason = None if stream.cancelled else _REASONS.get(finish_reason, "stop")
            stream.end(reason, meta=each.meta, tokens=each.tokens)

    def fail(self, fault: Fault, said: Said) -> None:
        """End its streams with an error; a cancelled one as that."""
        for stream, each in self._streams(said):
            if stream.cancelled:
                stream.end(meta=each.meta, tokens=each.tokens)
            else:
                stream.fail(fault, meta=each.meta, tokens=each.tokens)

    def hear(self, said: Said) -> None:
        """End those of its streams that were asked to stop; without the answer, its reasoning ends too."""
        if self.unwanted:
            self.end("", said)
        elif self._reasoning is not None and self._reasoning.cancelled:
            self._reasoning.end()

    def cancel(self, reason: str, by: str) -> None:
        """Ask its streams to stop."""
        for stream, _ in self._streams(Said({})):
            stream.cancel(reason, by=by)

    def _streams(self, said: Said) -> Iterator[tuple[Stream, Said]]:
        if self._reasoning is not None:
            yield self._reasoning, Said({})
        yield self.stream, said


def _whole(parts: list[ToolCall]) -> dict[str, Any]:
    """A call to a tool as an answer that is not streamed has it."""
    id, name = (next(filter(None, (getattr(part, key) for part in parts)), "") for key in ("id", "name"))
    arguments = "".join(part.arguments for part in parts)
    function = {"name": well_formed(name), "arguments": well_formed(arguments)}
    return {"id": well_formed(id), "type": "function", "function": function}
