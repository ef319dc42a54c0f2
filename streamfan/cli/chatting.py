"""A conversation from the command line: a session whose source is asked again and again."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from streamfan.cli import console
from streamfan.cli.conversation import Conversation, Turn
from streamfan.cli.session import Session
from streamfan.errors import UsageError
from streamfan.fan import Fan

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from streamfan.cli.asking import Asking
    from streamfan.config import RunConfig
    from streamfan.source import Request
    from streamfan.stream import Stream

_HELP = """\
/help           this list
/reset          begin another conversation
/save [FILE]    write this one to a new file: JSON if it ends in .json, else Markdown
/system [TEXT]  what the model is told before everything else; - for nothing
/sinks          how each sink is doing
/exit           leave, as do exit, quit and Ctrl-D
Enter sends, Alt-Enter begins a new line, and so does Enter between \"\"\" and \"\"\".
Ctrl-C stops an answer and keeps what there is of it; once more leaves."""
_FAREWELLS = {"exit", "quit", "/exit", "/quit", "/bye"}
_LOOK = 0.1
_SOON = 0.01


class Answers(Fan):
    """A fan whose streams are the answers of a conversation, and say so.

    Attributes:
        streams: Those of the current turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[Stream] = []
        self._label: dict[str, Any] = {}
        self._interrupted = False

    def begin(self, conversation: str, turn: int) -> None:
        """What opens from now on belongs to this turn."""
        self.streams = []
        self._label = {"conversation": conversation, "turn": turn}
        self._interrupted = False

    def interrupt(self) -> None:
        """Have this turn's streams stop, also those that are not open yet."""
        self._interrupted = True
        for stream in self.streams:
            stream.cancel("interrupted", by=signal.SIGINT.name)

    @property
    def interrupted(self) -> bool:
        """Whether somebody has stopped this turn."""
        return self._interrupted

    @property
    def cancelled(self) -> bool:
        """Whether a source should begin nothing more."""
        return self._interrupted or super().cancelled

    @property
    def answer(self) -> Stream | None:
        """The stream that answers, if any does: not what goes beside it, as a model's reasoning does."""
        return next((stream for stream in self.streams if "of" not in stream.info.meta), None)

    def open(self, id: str | None = None, *, meta: dict[str, Any] | None = None, **more: Any) -> Stream:
        """Open a stream of this turn; see `Fan.open`."""
        stream = super().open(id, meta={**self._label, **(meta or {})}, **more)
        self.streams.append(stream)
        if self._interrupted:
            self.interrupt()
        return stream


class Chat(Session):
    """A conversation, until nobody says any more.

    Args:
        config: Whom to talk to, and who listens.
        request: What to ask the source for, all but the messages.
        asking: Where the questions come from.
        conversation: What was said so far.
    """

    def __init__(self, config: RunConfig, request: Request, asking: Asking, conversation: Conversation) -> None:
        self._answers = Answers()
        super().__init__(config, request, fan=self._answers)
        self._asking = asking
        self._conversation = conversation
        # None: nothing more will be asked.
        self._questions: SimpleQueue[Request | None] = SimpleQueue()
        self._is_asking = False
        self._is_answering = False
        self._interrupts = 0
        self._error_of_turn: BaseException | None = None
        self._failed = False
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: console.say(_HELP),
            "/reset": self._reset,
            "/save": self._save,
            "/system": self._tell,
            "/sinks": self._show_sinks,
        }

    # The worker's thread

    def _produce(self) -> None:
        while (request := self._questions.get()) is not None:
            try:
                self._config.source.run(self._fan, request)
            except BaseException as error:  # noqa: BLE001 - foreign code; the next question may well be answered
                self._error_of_turn = error
            finally:
                self._is_answering = False
                self._news.put(None)

    # The main thread

    def _attend(self) -> None:
        if self._phase == "generating":
            if self._asking.personal:
                console.say(f"streamfan: this is {self._name}; /help lists the commands, Ctrl-D leaves")
            while (line := self._ask()) is not None:
                if line.strip():
                    self._hear(line)
        self._questions.put(None)
        self._wait_while("generating")

    def _ask(self) -> str | None:
        """What is said next; None where the conversation is over."""
        while True:
            # Before it is looked at for the last time: from here on a signal ends the asking itself.
            self._is_asking = True
            try:
                if self._is_over:
                    return None
                with console.held():
                    line = self._asking.ask()
            except KeyboardInterrupt:
                self._interrupts += 1
                if self._interrupts == 1 and self._asking.personal:
                    console.say("streamfan: once more to leave, as does Ctrl-D")
                    continue
                self._signal = self._signal or signal.SIGINT
                return None
            except (UsageError, OSError) as error:
                # What was answered is still to be delivered.
                self._error = error
                return None
            finally:
                self._is_asking = False
            self._interrupts = 0
            return None if line is None or line.strip() in _FAREWELLS else line

    @property
    def _is_over(self) -> bool:
        abort = self._config.abort and bool(self._fan.failed)
        return self._signal is not None or self._fan.deserted or abort or self._phase == "over"

    def _hear(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        # Not a path, which may well begin a question.
        if not (word.startswith("/") and word[1:].isalpha()):
            self._answer(line)
        elif word in self._commands:
            self._commands[word](rest.strip())
        else:
            near = get_close_matches(word, self._commands, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            console.say(f"streamfan: there is no {word}{meant}\nTry: /help")

    def _answer(self, question: str) -> None:
        fan, conversation = self._answers, self._conversation
        fan.begin(conversation.id, conversation.turn)
        self._error_of_turn = None
        self._is_answering = True
        self._questions.put(replace(self._request, messages=conversation.asking(question)))
        while self._is_answering and monotonic() < self._deadline:
            with suppress(Empty):
                self._news.get(timeout=_LOOK)
            self._cancel_if_wanted()
        for stream in fan.streams:
            self._wait_until_shown(stream)
        self._remember(question, fan.answer)

    def _wait_until_shown(self, stream: Stream) -> None:
        """Wait until the terminal has it all: what is said next comes after it."""
        while monotonic() < self._deadline:
            reports = [it for it in self._fan.report.streams if (it.id, it.attempt) == (stream.id, stream.attempt)]
            shown = [it for report in reports for it in report.deliveries if it.sink == "stdout"]
            if all(it.complete or it.error is not None for it in shown) or "stdout" in self._left:
                return
            sleep(_SOON)

    @property
    def _left(self) -> set[str]:
        return {sink.id for sink in self._fan.report.sinks if sink.left}

    def _remember(self, question: str, stream: Stream | None) -> None:
        """Keep question and answer, or neither."""
        end = None if stream is None else stream.outcome
        if self._error_of_turn is not None or (end is not None and end.error is not None):
            self._failed = True
            if self._error_of_turn is not None:
                console.complain(self._error_of_turn)
            elif end is not None and end.error is not None:
                console.say(f"Error: {end.error.message}")
            console.say("streamfan: the question and what there is of an answer are forgotten")
            return
        interrupted = self._answers.interrupted
        if stream is not None and stream.text:
            self._conversation.add(Turn(question, stream.text, interrupted))
        if interrupted:
            console.say("[interrupted]" if stream is not None and stream.text else "[interrupted; nothing is kept]")

    # Commands

    def _reset(self, _: str) -> None:
        self._conversation.reset()
        console.say("streamfan: all is forgotten; this is another conversation")

    def _save(self, name: str) -> None:
        try:
            path = self._conversation.save(name)
        except (OSError, ValueError, RuntimeError) as error:
            # The last two: a name that cannot be one, and a user without a home.
            why = error.strerror if isinstance(error, OSError) else error
            console.say(f"streamfan: it cannot be saved as {name!r}: {why}\nTry: /save ANOTHER-FILE")
        else:
            console.say(f"streamfan: saved to {path}")

    def _tell(self, text: str) -> None:
        if text:
            self._conversation.system = "" if text == "-" else text
        # What a server is told where the conversation says nothing.
        system = self._conversation.system or getattr(self._config.source.options, "system", None)
        console.say(f"streamfan: the model is told: {system}" if system else "streamfan: the model is told nothing")

    def _show_sinks(self, _: str) -> None:
        for sink in self._fan.report.sinks:
            trouble = sink.error or sink.trouble
            why = f"; {trouble.splitlines()[0]}" if trouble else ""
            behind = f", {sink.missing:,} bytes behind" if sink.missing else ""
            console.say(f"{sink.id}: {sink.state}, {sink.complete} of {sink.streams} answers{behind}{why}")

    # Signals

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._is_asking and self._signal is None:
            self._asking.stop(KeyboardInterrupt())
        elif number == signal.SIGINT and self._is_answering and self._asking.personal and self._signal is None:
            self._interrupts += 1
            if self._interrupts > 1:
                self._leaving.now(128 + number)
            self._answers.interrupt()
        else:
            super()._on_signal(number, frame)
            if self._is_asking:
                self._asking.stop(EOFError())

    # The end

    @property
    def _generation_failed(self) -> bool:
        # A person has seen it, and gone on.
        return self._failed and not self._asking.personal

    def _say_how_streams_ended(self) -> None:
        """Each turn has said it."""
