"""Retries that repeat nothing: what was published stays, and the next try goes on behind it.

python examples/retries.py
"""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

from streamfan import Fan

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIES = 4
PROMPT = "Once upon a time"
STORY = " there was a robot that had lost its way between the stars, and a child that knew the way home.\n"
failures = [0, 24, 60]


def continuation(text: str) -> Iterator[str]:
    """Stands for a client of a server that completes texts, and that loses its connection three times."""
    rest = STORY[len(text) - len(PROMPT) :]
    breaks_at = failures.pop(0) if failures else len(STORY)
    for at in range(0, len(rest), 4):
        if len(STORY) - len(rest) + at >= breaks_at:
            raise ConnectionError("the server went away")
        yield rest[at : at + 4]


# If the last try fails, so does the stream: all that was written stays, and everybody who reads it is told.
with Fan("stdout", "file:retried.txt") as fan, fan.open(meta={"prompt": PROMPT}) as stream:
    for attempt in range(1, TRIES + 1):
        try:
            for delta in continuation(PROMPT + stream.text):
                stream.write(delta)
            break
        except ConnectionError as error:
            print(f"[try {attempt} failed: {error}]", file=sys.stderr)
            if attempt == TRIES:
                raise
            # Full jitter: not all clients of a server that comes back at the same moment.
            time.sleep(random.uniform(0, 0.05 * 2**attempt))
