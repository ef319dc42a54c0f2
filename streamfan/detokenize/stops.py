"""Stop strings: nothing from a stop on comes out, and no more is held back than may still become one.

All stops are looked for at once, one character after the other, with an automaton after Aho and Corasick ("Efficient
string matching", 1975): the work per character does not grow with the number of stops.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class StopStrings:
    """Ends one stream's text at the stop that is complete first; of two complete at once, at the one that begins first.

    The work per character is constant on average, and at most `max(len(stop)) - 1` characters are held.

    Args:
        stops: May be empty; then all text passes.
        include_stop: Let the stop itself through.

    Attributes:
        matched: The stop that ended the text; None so far.

    Raises:
        ValueError: A stop is empty or no string, or a string was given where a sequence of them belongs.
    """

    __slots__ = ("_automaton", "_held", "_include_stop", "_state", "matched")

    def __init__(self, stops: Sequence[str], *, include_stop: bool = False) -> None:
        _check(stops)
        self._automaton = _Automaton(stops)
        self._include_stop = include_stop
        self._state = 0
        self._held = ""
        self.matched: str | None = None

    def push(self, text: str) -> str:
        """Return the text that is certain to come before a stop; nothing once a stop has matched."""
        if self.matched is not None:
            return ""
        if self._state == 0 and self._automaton.starts.isdisjoint(text):
            return text
        return self._search(text)

    def finish(self) -> str:
        """Return what was held: a stop that is not complete is text like any other."""
        held, self._held = self._held, ""
        return held

    def _search(self, text: str) -> str:
        automaton, state = self._automaton, self._state
        for position, character in enumerate(text, start=len(self._held) + 1):
            state = automaton.step(state, character)
            stop = automaton.complete[state]
            if stop is not None:
                return self._match(stop, (self._held + text)[:position])
        self._state = state
        text = self._held + text
        cut = len(text) - automaton.depth[state]
        self._held = text[cut:]
        return text[:cut]

    def _match(self, stop: str, text: str) -> str:
        self.matched = stop
        self._held = ""
        return text if self._include_stop else text.removesuffix(stop)


def _check(stops: Sequence[str]) -> None:
    if isinstance(stops, str):
        raise ValueError(f"stops must be a sequence of strings, not the string {stops!r}\nTry: [{stops!r}]")  # noqa: TRY004
    for stop in stops:
        if not isinstance(stop, str):
            raise ValueError(f"stops must be strings, not {stop!r}: {list(stops)!r}\nTry: decode ids and bytes first")  # noqa: TRY004
        if stop == "":
            raise ValueError(
                f"stop strings must not be empty, for '' matches everywhere: {list(stops)!r}\nTry: leave it out"
            )


class _Automaton:
    """The stops' prefixes as states, 0 being the empty one.

    Attributes:
        depth: How long the prefix of a state is; that much text may still become a stop.
        complete: The longest stop that ends in a state.
        starts: The characters that a stop can begin with.
    """

    __slots__ = ("_fallback", "_next", "complete", "depth", "starts")

    def __init__(self, stops: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fallback = [0]
        self.depth = [0]
        self.complete: list[str | None] = [None]
        for stop in stops:
            self._insert(stop)
        self._link()
        self.starts = frozenset(self._next[0])

    def step(self, state: int, character: str) -> int:
        """Return the state after one more character: the longest prefix of a stop that the text ends in."""
        while character not in self._next[state]:
            if state == 0:
                return 0
            state = self._fallback[state]
        return self._next[state][character]

    def _insert(self, stop: str) -> None:
        state = 0
        for character in stop:
            if character not in self._next[state]:
                self._next[state][character] = self._grow(self.depth[state] + 1)
            state = self._next[state][character]
        self.complete[state] = stop

    def _grow(self, depth: int) -> int:
        self._next.append({})
        self._fallback.append(0)
        self.depth.append(depth)
        self.complete.append(None)
        return len(self._next) - 1

    def _link(self) -> None:
        # Shorter prefixes first: the longest proper suffix of a state is a state that has been linked already.
        queue = deque(self._next[0].values())
        while queue:
            state = queue.popleft()
            for character, child in self._next[state].items():
                self._fallback[child] = self.step(self._fallback[state], character)
                queue.append(child)
            if self.complete[state] is None:
                self.complete[state] = self.complete[self._fallback[state]]
