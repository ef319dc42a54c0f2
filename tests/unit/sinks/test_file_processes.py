from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from streamfan.errors import Permanent
from streamfan.sinks.file import FileOptions
from tests.support.deliveries import chunks
from tests.support.files import JSONL, connected, events_of, text_of, written
from tests.support.streams import info

pytestmark = pytest.mark.usefixtures("directory")

TOLD = "'a.out' is being written by another program\nTry: a path of its own, {stream} in the path, or the option format"
PRELUDE = """
import os, sys
from streamfan.errors import SinkError
from streamfan.sinks.file import FileOptions, FileSink
from tests.support.deliveries import chunks
from tests.support.streams import info

def wants(options, connects):
    sink = FileSink("a.out", FileOptions(**options))
    try:
        if connects:
            sink.connect()
        (chunk,) = chunks(info("theirs"), "text")
        sink.open(chunk.stream)
        sink.write(chunk)
    except SinkError as error:
        print(error, end="", flush=True)
"""


def run(code: str) -> str:
    """What another program prints."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=50,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def other_program_is_told(options: FileOptions, *, connects: bool = True) -> str:
    return run(f"wants({options.model_dump(exclude_unset=True)}, {connects})")


ALONE = [
    FileOptions(),
    FileOptions(mode="append"),
    FileOptions(mode="atomic"),
    FileOptions(mode="resume"),
    FileOptions(format="jsonl", mode="overwrite"),
    FileOptions(format="jsonl", mode="resume"),
]


@pytest.mark.parametrize("options", ALONE)
def test_second_program_is_told_that_only_one_can_write(options: FileOptions) -> None:
    sink = connected("a.out", options)
    (chunk,) = chunks(info("ours"), "text")
    sink.open(chunk.stream)
    sink.write(chunk)
    path = Path("a.out.part" if options.mode == "atomic" else "a.out")
    before = path.read_bytes()

    told = [other_program_is_told(options, connects=connects) for connects in (True, False)]

    assert [each.replace(".part", "").startswith(TOLD) for each in told] == [True, True]
    assert path.read_bytes() == before


def test_file_is_free_when_its_program_has_closed_it() -> None:
    sink = connected("a.out")
    sink.open(info("ours"))
    sink.disconnect()

    assert other_program_is_told(FileOptions()) == ""
    assert text_of("a.out") == "text"


def test_file_is_free_also_where_a_program_that_was_started_has_it_open() -> None:
    sink = connected("a.out")
    sink.open(info("ours"))
    status = Path("a.out").stat()
    (inherited,) = [os.dup(number) for number in descriptors_of(status.st_ino)]
    sink.disconnect()

    told = other_program_is_told(FileOptions())
    os.close(inherited)

    assert told == ""


def descriptors_of(inode: int) -> list[int]:
    found = []
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            found += [int(path.name)] * (os.fstat(int(path.name)).st_ino == inode)
    return found


def test_what_was_renamed_between_opening_and_locking_is_not_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.out").write_text("whole")

    def lock(descriptor: int) -> None:
        if not Path("published.out").exists():
            # As the other program does that has held the lock until now.
            Path("a.out").rename("published.out")

    monkeypatch.setattr("streamfan.sinks.file.handle.lock", lock)
    written("a.out", "text")

    assert (text_of("published.out"), text_of("a.out")) == ("whole", "text")


def test_programs_share_a_file_of_events() -> None:
    sink = connected("a.out", JSONL)
    (chunk,) = chunks(info("ours"), "text")
    sink.open(chunk.stream)

    told = other_program_is_told(JSONL)
    sink.write(chunk)

    assert told == ""
    assert [(event.stream, event.type) for event in events_of("a.out")] == [
        ("ours", "start"),
        ("theirs", "start"),
        ("theirs", "text"),
        ("ours", "text"),
    ]


def test_events_do_not_mix_with_the_text_of_another_program() -> None:
    sink = connected("a.out")
    sink.open(info("ours"))

    assert other_program_is_told(JSONL, connects=False) == "'a.out' is locked by another program"


# A file that is open when its program forks


def test_forked_child_is_told_that_its_parent_writes_the_file() -> None:
    told = run("""
sink = FileSink("a.out")
sink.open(info())
if os.fork() == 0:
    wants({}, False)
else:
    os.wait()
""")

    assert told.startswith(TOLD)


def test_forked_child_may_write_what_its_parent_has_closed() -> None:
    told = run("""
sink = FileSink("a.out")
sink.open(info())
gate, key = os.pipe()
if os.fork() == 0:
    os.read(gate, 1)
    wants({}, False)
else:
    sink.disconnect()
    os.write(key, b"x")
    os.wait()
""")

    assert told == ""
    assert text_of("a.out") == "text"


CHILD_OF_THE_DEAD = """
import signal
sink = FileSink("a.out")
sink.open(info())
gate, key = os.pipe()
if os.fork() == 0:
    os.write(key, b"x")
    os.close(1)
    signal.pause()
os.read(gate, 1)
print(os.getpid(), end="")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_child_that_outlives_its_parent_does_not_keep_the_file_locked() -> None:
    told = run(f"""
import subprocess, signal
parent = subprocess.Popen([sys.executable, "-c", {PRELUDE + CHILD_OF_THE_DEAD!r}], process_group=0, stdout=-1)
parent.communicate()
wants({{}}, True)
os.killpg(parent.pid, signal.SIGKILL)
""")

    assert told == ""


def test_child_that_closes_what_its_parent_has_open_does_not_unlock_it() -> None:
    told = run("""
sink = FileSink("a.out")
sink.open(info())
if os.fork() == 0:
    sink.disconnect()
    os._exit(0)
os.wait()
if os.fork() == 0:
    wants({}, False)
else:
    os.wait()
""")

    assert told.startswith(TOLD)


def test_second_sink_of_a_program_is_told_so_by_name() -> None:
    sink = connected("a.out")
    sink.open(info())

    with pytest.raises(Permanent, match="is being written by another file sink of this program"):
        connected("a.out").open(info())
