"""Commands that go to a server at once, so that many cost no more time than one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from streamfan.errors import SinkError
from streamfan.redis.errors import OtherType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamfan.redis.connection import Command, Connection

    Answers = Sequence[Any]


def accept(answers: Answers) -> None:
    """Raise the first error among the answers."""
    for answer in answers:
        if isinstance(answer, SinkError):
            raise answer


def readable(answer: Any) -> Any:
    """The answer to GET; empty, which nobody can read either, where the key has another type."""
    return b"" if isinstance(answer, OtherType) else answer


class Batch:
    """Commands for one server, in order, each group with whom its answers are for.

    A command that is refused does not stop those after it.
    """

    def __init__(self) -> None:
        self._commands: list[Command] = []
        self._parts: list[tuple[int, Callable[[Answers], None]]] = []

    def add(self, commands: Sequence[Command], heard: Callable[[Answers], None] = accept) -> None:
        """Send these too.

        Args:
            heard: Gets their answers, each of which may be the error that its command has met.
        """
        self._commands.extend(commands)
        self._parts.append((len(commands), heard))

    def add_together(self, commands: Sequence[Command], heard: Callable[[Answers], None] = accept) -> None:
        """Send these too; where the connection breaks meanwhile, the server carries out all of them or none.

        Still one that is refused does not stop those after it.
        """

        def executed(answers: Answers) -> None:
            accept(answers)
            heard(answers[-1])

        self.add((("MULTI",), *commands, ("EXEC",)), executed)

    def join(self, other: Batch) -> None:
        """Send what the other has too."""
        self._commands.extend(other._commands)
        self._parts.extend(other._parts)

    def send(self, connection: Connection) -> None:
        """Send everything, once, and tell everybody, in order, until one raises; in one round trip, or none."""
        if self._commands:
            answers = iter(connection.answers(*self._commands))
            for count, heard in self._parts:
                heard(list(islice(answers, count)))
