"""Where the lines of a conversation come from: a person at a terminal, or a pipe."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from streamfan.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyPressEvent

_BLOCK = '"""'
# More than any model takes, and less than what endless input takes of the memory.
_LONGEST_LINE = 16 << 20


class Asking(ABC):
    """Where the lines come from.

    Attributes:
        personal: Whether a person is asked, who can be told things.
    """

    personal: bool

    @abstractmethod
    def ask(self) -> str | None:
        """The next line, or lines that belong together; None where no more come.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """

    @abstractmethod
    def stop(self, error: BaseException) -> None:
        """Have `ask` end now, or at once where it only begins: as if no more came, or with a `KeyboardInterrupt`.

        To be called by a signal handler, which runs in the middle of what it ends.
        """


class Lines(Asking):
    """Standard input, a line at a time; nothing is printed."""

    personal = False

    def __init__(self) -> None:
        if sys.stdin is None:
            raise UsageError("there is nobody to chat with: standard input is closed")
        self._reading = False
        self._stopped: BaseException | None = None

    def ask(self) -> str | None:
        """Read a line."""
        try:
            self._reading = True
            if self._stopped is not None:
                raise self._stopped
            line = sys.stdin.buffer.readline(_LONGEST_LINE + 1)
            self._reading = False
        except EOFError:
            return None
        finally:
            self._reading = False
        if len(line) > _LONGEST_LINE:
            raise UsageError(f"a line on standard input is longer than {_LONGEST_LINE >> 20} MiB")
        try:
            return line.decode().rstrip("\r\n") if line else None
        except UnicodeDecodeError as error:
            raise UsageError(f"a line on standard input is not UTF-8, at byte {error.start}") from None

    def stop(self, error: BaseException) -> None:
        """End the reading, or let none begin."""
        if self._reading:
            raise error
        self._stopped = error


class Prompt(Asking):
    """A person at a terminal, with an editor for what they type; on stderr, for stdout is the text's.

    Enter sends; Alt-Enter begins a new line, as does Enter after three quotes until there are three more.
    """

    personal = True

    def __init__(self) -> None:
        try:
            from prompt_toolkit import PromptSession
        except ModuleNotFoundError as error:
            raise MissingExtra("streamfan chat", error.name or "prompt_toolkit", "chat") from error
        from prompt_toolkit.key_binding import KeyBindings
        from prompt_toolkit.output import create_output

        keys = KeyBindings()
        keys.add("enter")(_send_or_go_on)
        # What Enter was while nobody asked: typed ahead, it still sends.
        keys.add("c-j")(_send_or_go_on)
        keys.add("escape", "enter")(_go_on)
        self._session: PromptSession[str] = PromptSession(
            output=create_output(stdout=sys.stderr),
            key_bindings=keys,
            multiline=True,
            prompt_continuation="... ",
        )
        self._stopped: BaseException | None = None

    def ask(self) -> str | None:
        """Ask for what is said next."""
        try:
            line = self._session.prompt(">>> ", pre_run=self._end_if_stopped)
        except (EOFError, OSError):
            # Also where the terminal is gone.
            return None
        return line.strip().removeprefix(_BLOCK).removesuffix(_BLOCK) if _is_block(line) else line

    def stop(self, error: BaseException) -> None:
        """End the prompt, or the one that is about to be."""
        app = self._session.app
        self._stopped = error
        if app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(self._end_if_stopped)

    def _end_if_stopped(self) -> None:
        error, self._stopped = self._stopped, None
        if error is not None:
            self._session.app.exit(exception=error)


def _is_block(text: str) -> bool:
    return text.lstrip().startswith(_BLOCK)


def _send_or_go_on(event: KeyPressEvent) -> None:
    buffer = event.current_buffer
    text = buffer.text.strip()
    closed = len(text) >= 2 * len(_BLOCK) and text.endswith(_BLOCK)
    if _is_block(text) and not closed:
        buffer.newline(copy_margin=False)
    else:
        buffer.validate_and_handle()


def _go_on(event: KeyPressEvent) -> None:
    event.current_buffer.newline(copy_margin=False)
