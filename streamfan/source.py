"""What a source is: what produces text.

A source is given a fan and publishes to it. Two methods are required, and one rule: end every stream that you open, and
look at `stream.cancelled` (or at `Stream.on_cancel`) so that a consumer's *stop* is heard. One that has more streams to
come opens none of them once `fan.cancelled` says that all is to stop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from streamfan.options import Options, without_userinfo

if TYPE_CHECKING:
    from streamfan.fan import Fan


class SourceOptions(Options):
    """The options of a source; subclass it, and give every field a description."""


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody has said in a conversation; `dataclasses.asdict` is what templates and servers take."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to generate; None or empty where nothing was asked for.

    Attributes:
        prompt: The text to go on from.
        prompts: Several, each with the number of the line that it stands in; then there is no `prompt`.
        model: A model's name or folder.
        max_new_tokens: How many tokens at most.
        temperature: 0 means greedy decoding.
        seed: Makes sampling repeatable.
        stop: Texts that end the stream; they are not part of it.
        chat: Whether the prompt is a user's message, to be put through the model's chat template; None where nobody
            said, and the source does what is usual with it.
        messages: A conversation to answer, in place of a prompt: the oldest first, a system's message before all
            others if there is one, then a user's and the assistant's by turns, a user's last. Each call of `run` gets
            the whole of it, and answers with one stream. Empty in `load` where nothing was said yet: then what can be
            checked of a request is its other fields. None where this is no conversation.
    """

    prompt: str | None = None
    prompts: tuple[tuple[int, str], ...] = ()
    model: str | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    chat: bool | None = None
    messages: tuple[Message, ...] | None = None


class Source(ABC):
    """Something that produces text.

    Attributes:
        name: What the source is called in a specification; equals the name of its entry point.
        aliases: URL schemes that also mean this source; it then gets the whole URL as its target.
        example: A specification that works, for help; the name alone unless given.
        Options: The model of its options.
        accepts: The fields of `Request` that mean something here; others are refused before `load`.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = ""
    Options: ClassVar[type[SourceOptions]] = SourceOptions
    accepts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, target: str | None = None, options: SourceOptions | None = None) -> None:
        self.target = target
        self.options = self.Options() if options is None else options

    @property
    def label(self) -> str:
        """What people call it: its target if it has one, without a user's name and password."""
        return without_userinfo(self.target) if self.target else self.name

    @abstractmethod
    def load(self, request: Request) -> None:
        """Get everything ready that takes long: read weights, connect. Publishes nothing.

        Raises:
            UsageError: The request cannot be met as it was said.
            SourceError: No text can be had.
        """

    @abstractmethod
    def run(self, fan: Fan, request: Request) -> None:
        """Publish to `fan` until the text has ended, then return; every stream opened has an outcome by then.

        Raises:
            SourceError: No text can be had; nothing was published.
        """
