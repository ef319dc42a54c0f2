"""A conversation: what was said so far, and how it is kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from streamfan import lifetime
from streamfan.source import Message


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer; there is never one without the other."""

    question: str
    answer: str
    interrupted: bool


class Conversation:
    """What was said so far.

    Attributes:
        id: What the streams of its answers name it by.
        system: What the model was told before everything else; empty if nothing.
    """

    def __init__(self, system: str = "") -> None:
        self.system = system
        self.reset()

    @property
    def turn(self) -> int:
        """The number of the turn that is to come, from 1 on."""
        return len(self._turns) + 1

    def reset(self) -> None:
        """Begin another conversation, with the same system prompt."""
        self.id = lifetime.next_id()
        self._turns: list[Turn] = []

    def asking(self, question: str) -> tuple[Message, ...]:
        """The conversation with this question at its end."""
        return (*self._messages, Message("user", question))

    def add(self, turn: Turn) -> None:
        """Remember a turn."""
        self._turns.append(turn)

    def save(self, name: str) -> Path:
        """Write it to a new file that only its owner may read: as JSON where it is called so, else as Markdown.

        Raises:
            OSError: The file exists already, or cannot be written.
            ValueError: The name cannot be one.
            RuntimeError: It begins with the home of nobody.
        """
        path = Path(name or f"chat-{self.id}.md").expanduser()
        text = self._as_json() if path.suffix == ".json" else self._as_markdown()
        # What was typed may hold bytes that are no text.
        data = text.encode(errors="backslashreplace")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        return path

    @property
    def _messages(self) -> tuple[Message, ...]:
        said = [Message("system", self.system)] if self.system else []
        for turn in self._turns:
            said += [Message("user", turn.question), Message("assistant", turn.answer)]
        return tuple(said)

    def _as_json(self) -> str:
        said = [{"role": message.role, "content": message.content} for message in self._messages]
        return json.dumps(said, ensure_ascii=False, indent=1) + "\n"

    def _as_markdown(self) -> str:
        parts = [f"# Conversation {self.id}"]
        if self.system:
            parts += ["## System", self.system]
        for turn in self._turns:
            parts += ["## User", turn.question, "## Assistant", turn.answer.strip()]
            if turn.interrupted:
                parts.append("*(interrupted)*")
        return "\n\n".join(parts) + "\n"
