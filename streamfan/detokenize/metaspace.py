"""Metaspace (T5, ALBERT, XLM-R and other Unigram models): a marker stands for a space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamfan.detokenize.steps import Feed


@dataclass(frozen=True, slots=True)
class Metaspace:
    """Turns the marker into a space.

    Attributes:
        leading: Whether the first piece keeps its markers, as spaces; if not, every one of them goes, wherever it is.
    """

    marker: str
    leading: bool
    splittable = True

    def open(self, *, first: bool) -> Feed:
        """Replace the markers of one piece."""
        space = "" if first and not self.leading else " "
        return lambda text: text.replace(self.marker, space)
