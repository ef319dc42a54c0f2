"""A process with many subscribers, each of which joins at some moment; for tests of many processes.

python tests/support/crowd.py URL STREAM COUNT SPREAD SEED
It says "joined" when all have got their first text, and then, in JSON, what each got: a sha256, or an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import threading
from typing import TYPE_CHECKING

from streamfan.errors import StreamfanError
from streamfan.subscriber import asubscribe, subscribe

if TYPE_CHECKING:
    from collections.abc import Sequence


class Crowd:
    """Half of them in threads, half in one event loop."""

    def __init__(self, url: str, stream: str, count: int) -> None:
        self._url = url
        self._stream = stream
        self._joined = threading.Semaphore(0)
        self.count = count
        self.got: list[str] = []

    def run(self, delays: Sequence[float]) -> None:
        """Subscribe after each of these delays, and read everything."""
        threads = [threading.Thread(target=self._read, args=[delay]) for delay in delays[::2]]
        threads.append(threading.Thread(target=self._tell))
        for thread in threads:
            thread.start()
        asyncio.run(self._read_all(delays[1::2]))
        for thread in threads:
            thread.join()

    def _tell(self) -> None:
        for _ in range(self.count):
            self._joined.acquire()
        say("joined")

    def _read(self, delay: float) -> None:
        threading.Event().wait(delay)
        text = b""
        try:
            for piece in subscribe(self._url, self._stream):
                self._note(text)
                text += piece.encode()
            self.got.append(hashlib.sha256(text).hexdigest())
        except StreamfanError as error:
            self.got.append(repr(error))

    async def _read_all(self, delays: Sequence[float]) -> None:
        await asyncio.gather(*(self._read_async(delay) for delay in delays))

    async def _read_async(self, delay: float) -> None:
        await asyncio.sleep(delay)
        text = b""
        try:
            async for piece in asubscribe(self._url, self._stream):
                self._note(text)
                text += piece.encode()
            self.got.append(hashlib.sha256(text).hexdigest())
        except StreamfanError as error:
            self.got.append(repr(error))

    def _note(self, text: bytes) -> None:
        if not text:
            self._joined.release()


def say(line: str) -> None:
    """Tell whoever has started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    url, stream, count, spread, seed = sys.argv[1:]
    moments = random.Random(int(seed))
    crowd = Crowd(url, stream, int(count))
    crowd.run([moments.uniform(0, float(spread)) for _ in range(int(count))])
    say(json.dumps(crowd.got))
