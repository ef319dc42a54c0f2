"""What a user writes for a sink or a source: `[ID=]NAME[:TARGET]`.

The first colon splits, and the target is opaque: what it means is the sink's business. No error shows it either, for a
URL may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamfan.sink import Sink
    from streamfan.source import Source

RESERVED = frozenset({"config", "lane", "run", "source"})
"""No ids: in options, tables and environment variables these words mean something else."""

_ID = re.compile(r"[a-z][a-z0-9]*", re.ASCII)
# What RFC 3986 allows in a scheme, less the dot: `--sink story.txt` is a file that lacks its `file:`.
_NAME = re.compile(r"[a-z][a-z0-9+-]*", re.ASCII)
_GRAMMAR = "[ID=]NAME[:TARGET], for example live=redis://localhost/0"


@dataclass(frozen=True, slots=True)
class Spec:
    """A specification as it was written.

    Attributes:
        id: What options and reports call it; None until it is decided, see `bound`.
        name: The name or a URL scheme of the sink or source.
        target: What stood after the first colon; None if nothing did.
    """

    id: str | None
    name: str
    target: str | None

    def __str__(self) -> str:
        head = self.name if self.id is None else f"{self.id}={self.name}"
        return head if self.target is None else f"{head}:{self.target}"

    def bound(self, to: type[Sink | Source]) -> Spec:
        """The same with everything decided that depends on the sink or source meant: id, own name, and target.

        A URL, that is, a scheme of `to` and what follows it, is a target as a whole. So is `NAME://...` where `to` has
        schemes at all: its own name is one of them.

        Raises:
            SpecError: A scheme without the rest of its URL.
        """
        if self.name in to.aliases and self.target is None:
            raise SpecError(
                f"{self.name!r} is a URL scheme of {to.name!r} and needs the rest of its URL\nTry: {self.name}://..."
            )
        is_url = self.name in to.aliases or (bool(to.aliases) and (self.target or "").startswith("//"))
        target = f"{self.name}:{self.target}" if is_url else self.target
        return Spec(self.id or to.name, to.name, target)


def parse(text: str) -> Spec:
    """Take a specification apart; whether there is such a sink is not looked at.

    Raises:
        SpecError: `text` does not follow the grammar.
    """
    head, colon, target = text.partition(":")
    before, equals, after = head.partition("=")
    id, name = (before, after) if equals else (None, before)
    if id is not None:
        check_id(id)
    if not _NAME.fullmatch(name):
        raise SpecError(_bad_name(name))
    if colon and not target:
        raise SpecError(f"{head + colon!r} has an empty target\nTry: {head!r} for the default target, or {_GRAMMAR}")
    return Spec(id, name, target if colon else None)


def check_id(id: str) -> None:
    """Refuse what cannot be an id.

    Raises:
        SpecError: `id` does not match `[a-z][a-z0-9]*`, or is reserved.
    """
    if not _ID.fullmatch(id):
        raise SpecError(f"{id!r} cannot be an id, which matches {_ID.pattern}\nTry: {_GRAMMAR}")
    if id in RESERVED:
        raise SpecError(f"{id!r} cannot be an id: the word is reserved\nTry: my{id}=..., {_GRAMMAR}")


def check_unique(ids: Iterable[tuple[str, str]]) -> None:
    """Refuse two of the same id.

    Args:
        ids: Each sink's id and name.

    Raises:
        SpecError: Two ids are equal; the text shows how to give one of the sinks another.
    """
    seen: set[str] = set()
    for id, name in ids:
        if id in seen:
            raise SpecError(f"two sinks are called {id!r}\nTry: an id of its own for one of them, {id}2={name}:...")
        seen.add(id)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known ones, or nothing."""
    import difflib

    nearest = difflib.get_close_matches(name, sorted(known), n=3)
    return f", did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""


def _bad_name(name: str) -> str:
    if not name:
        return f"a specification needs a name\nTry: {_GRAMMAR}"
    looks_like_path = "." in name or "/" in name
    hint = f"file:{name}, " if looks_like_path else ""
    return f"{name!r} cannot be the name of a sink or source\nTry: {hint}{_GRAMMAR}"
