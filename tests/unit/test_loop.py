from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from streamfan.loop import LoopThread


def test_error_that_nobody_waits_for_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    loop, over = LoopThread("loop"), threading.Event()

    def fail() -> None:
        over.set()
        raise EOFError("nothing came")

    async def begin() -> None:
        asyncio.get_running_loop().call_soon(fail)

    caplog.set_level(logging.DEBUG)
    loop.run(begin())
    assert over.wait(10)
    loop.stop()

    (line,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert line.getMessage().startswith("Exception in callback ")
    assert line.getMessage().endswith(": EOFError('nothing came')")
    assert line.exc_info is None
