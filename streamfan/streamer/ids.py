"""What `generate()` puts, and what it never would."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from streamfan.errors import StreamerMisuse


def check_ids(ids: Any) -> None:
    """Accept a list of ids, or one for each row.

    It looks at each of them, so it is for what comes once in a run.

    Raises:
        StreamerMisuse: It is anything else.
    """
    rows = ids if isinstance(ids, list) and ids and isinstance(ids[0], list) else [ids]
    if not all(isinstance(row, list) and all(isinstance(id, Integral) for id in row) for row in rows):
        raise StreamerMisuse(
            f"put() was given {_described(ids)}, expected token ids: a tensor of integers with one or two dimensions\n"
            "Try: streamer.put(input_ids)"
        )


def _described(ids: Any) -> str:
    dimensions, item = 0, ids
    while isinstance(item, list) and item:
        dimensions, item = dimensions + 1, item[0]
    return f"{dimensions} dimensions of {type(item).__name__}" if dimensions else f"a single {type(item).__name__}"
