"""What an entry of a log says, for whoever writes it and for whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.events import End, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.events import Event


def field(fields: Sequence[bytes], name: bytes) -> bytes:
    """The field called `name` of an entry, whose fields alternate with their values; empty if there is none."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(name, b"")


def held(last: Event | None) -> int:
    """How many bytes of the text a log holds that ends with `last`."""
    return last.end if isinstance(last, Text) else last.offset if isinstance(last, End) else 0
