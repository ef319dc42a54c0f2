"""Several programs that write to one file of events, rotate and compress it."""

from __future__ import annotations

import gzip
import multiprocessing
from collections import Counter
from typing import TYPE_CHECKING

from streamfan.events import Text, decode
from tests.support import writers

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 20_000
OPTIONS = {"format": "jsonl", "rotate_bytes": LARGEST, "gzip": True}
TEXTS = [f"{number:05}" for number in range(800)]
IDS = ["a", "b", "c"]


def test_programs_that_rotate_one_file_lose_no_event(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun = context.Barrier(len(IDS))
    arguments = [(str(tmp_path / "a.jsonl"), OPTIONS, id, TEXTS, begun) for id in IDS]
    processes = [context.Process(target=writers.write_texts, args=each) for each in arguments]

    for process in processes:
        process.start()
    for process in processes:
        process.join(50)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    paths = [*sorted(tmp_path.glob("a-*")), tmp_path / "a.jsonl"]
    whole = [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths]
    events = [decode(line) for data in whole for line in data.splitlines()]
    assert Counter((event.stream, event.type) for event in events) == {
        **{(id, "text"): len(TEXTS) for id in IDS},
        **{(id, kind): 1 for id in IDS for kind in ("start", "end")},
    }
    for id in IDS:
        assert [event.text for event in events if isinstance(event, Text) and event.stream == id] == TEXTS
    assert max(map(len, whole)) <= LARGEST
    assert len(paths) > 5
    assert not list(tmp_path.glob("*.part"))
