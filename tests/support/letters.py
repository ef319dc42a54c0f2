"""`generate()` in plain Python, and a tokenizer of letters: what is put here is a list."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.streamer import Streamer

PAD, EOS, EOT = 0, 1, 2
MODEL = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[EOS, EOT], pad_token_id=PAD))


class Letters:
    """A tokenizer whose ids are code points, but for three special ones that have no text."""

    eos_token_id: int | None = EOS
    pad_token_id: int | None = PAD

    def decode(self, ids: Sequence[int], **kwargs: Any) -> str:
        return "".join(chr(id) for id in ids if id > EOT)


@dataclass
class Ids:
    """What `generate()` puts."""

    values: list[Any]

    def tolist(self) -> list[Any]:
        return self.values


class Flags(list[bool]):
    """What a tensor makes of a list."""

    def __ne__(self, other: object) -> Any:
        return [flag != other for flag in self]


class InputIds:
    """What a stopping criterion is given."""

    def __init__(self, rows: int, length: int) -> None:
        self.shape = (rows, length)

    def new_tensor(self, values: list[bool]) -> Flags:
        return Flags(values)


def encode(text: str) -> list[int]:
    """The ids of a text, in which `.` is the end of sequence, `!` the end of a turn, and `_` is padding."""
    special = {"_": PAD, ".": EOS, "!": EOT}
    return [special.get(character, ord(character)) for character in text]


def prompt(*texts: str) -> Ids:
    return Ids([encode(text) for text in texts])


def step(text: str) -> Ids:
    """One id for each row, or several for one row."""
    return Ids(encode(text))


def block(*texts: str) -> Ids:
    """Several ids for each row."""
    return prompt(*texts)


def generate(streamer: Streamer, *rows: str, prompts: Sequence[str] = ()) -> None:
    """What `generate()` does: the prompt, then a column after the other, short rows padded, and the end."""
    streamer.put(prompt(*(prompts or ["p"] * len(rows))))
    for column in zip_longest(*rows, fillvalue="_"):
        streamer.put(step("".join(column)))
    streamer.end()


def texts(streamer: Streamer) -> list[str]:
    return [stream.text for stream in streamer.streams]


def reasons(streamer: Streamer) -> list[str | None]:
    return [stream.finish_reason for stream in streamer.streams]
