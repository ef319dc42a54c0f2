"""`streamfan replay` and `--spill-dir`, as somebody at a shell meets them."""

from __future__ import annotations

import json
import os
import sys

import pytest

from streamfan.events import End, Text, decode
from tests.support.command import Shell
from tests.support.distributions import Site

# It makes no progress for longer than a sink may that is behind.
DOZING = """
    import time
    from streamfan import Sink, hookimpl

    class Dozing(Sink):
        name = "dozing"
        dozed = False
        def write(self, chunk):
            if not self.dozed:
                self.dozed = True
                time.sleep(3)

    @hookimpl
    def streamfan_sinks():
        return [Dozing]
"""

BAD = ("-s", "bad=file:/dev/full", "-o", "bad.lane.max_elapsed=0.1")


def test_recording_is_published_again_with_the_same_ids_and_offsets(shell: Shell) -> None:
    shell.stdin("héllo ☕", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    done = shell.run("replay", "a.jsonl", "-s", "b=file:b.jsonl", "-o", "b.format=jsonl", "-s", "file:c.txt")

    assert (done.code, done.stdout, done.stderr) == (0, "héllo ☕".encode(), "")
    first, second = ([decode(line) for line in shell.file(name).splitlines()] for name in ("a.jsonl", "b.jsonl"))
    assert first[0] == second[0]
    assert [e.text for e in second if isinstance(e, Text)] == ["héllo ☕"]
    assert isinstance(first[-1], End)
    assert isinstance(second[-1], End)
    assert (first[-1].sha256, first[-1].offset) == (second[-1].sha256, second[-1].offset)
    assert shell.file("c.txt") == "héllo ☕"


def test_recording_can_come_from_another_program(shell: Shell) -> None:
    shell.stdin("héllo ☕", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    done = shell.run("replay", "/dev/stdin", text=shell.file("a.jsonl"))

    assert (done.code, done.stdout, done.stderr) == (0, "héllo ☕".encode(), "")


def test_files_that_the_file_sink_has_rotated_and_compressed_are_one_recording(shell: Shell) -> None:
    text = "".join(f"{number:>5}\n" for number in range(1000))
    rotating = ("-o", "file.format=jsonl", "-o", "file.rotate_bytes=2KiB", "-o", "file.gzip=true")
    shell.stdin(text, "-q", "-s", "file:a.jsonl", *rotating, "-o", "file.lane.max_bytes=500")
    files = sorted(path.name for path in shell.folder.glob("a-*.jsonl*"))

    done = shell.run("replay", *files, "a.jsonl")

    assert len(files) > 1
    assert (done.code, done.stdout, done.stderr) == (0, text.encode(), "")


@pytest.mark.parametrize(("more", "code"), [((), 0), (("-o", "dozing.lane.when_full=fail"), 3)])
def test_recording_waits_for_a_sink_that_is_behind_unless_it_is_told_otherwise(
    shell: Shell, more: tuple[str, ...], code: int
) -> None:
    Site(shell.site).install("streamfan-dozing", code=DOZING, sinks={"dozing": "streamfan_dozing"})
    events = ("-o", "file.format=jsonl", "-o", "file.lane.max_bytes=1KiB")
    shell.stdin("text " * 10_000, "-q", "-s", "file:a.jsonl", *events)

    done = shell.run("replay", "a.jsonl", "-q", "-s", "dozing", "-o", "dozing.lane.buffer_bytes=2KiB", *more)

    assert done.code == code, done


def test_what_a_sink_was_not_given_is_kept_and_can_be_sent_later(shell: Shell) -> None:
    done = shell.stdin("kept text", "-q", *BAD, "--spill-dir", "spilled", "--summary", "json")
    (path,) = (shell.folder / "spilled").iterdir()
    later = shell.run("replay", str(path), "-q", "-s", "file:later.txt")

    assert done.code == 3
    assert f"streamfan replay spilled/{path.name}" in done.stderr
    assert done.summary["kept"] == [f"spilled/{path.name}"]
    assert (later.code, shell.file("later.txt")) == (0, "kept text")


def test_nothing_is_kept_where_everything_was_delivered(shell: Shell) -> None:
    done = shell.stdin("text", "-q", "-s", "file:a.txt", "--spill-dir", "spilled")

    assert done.code == 0
    assert not (shell.folder / "spilled").exists()


def test_folder_for_what_is_kept_is_looked_at_before_anything_begins(shell: Shell) -> None:
    (shell.folder / "taken").write_text("")

    done = shell.stdin("text", "-q", "-s", "file:a.txt", "--spill-dir", "taken")

    assert done.code == 2
    assert "'taken' cannot be made" in done.stderr
    assert not (shell.folder / "a.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.jsonl",), "'nothing.jsonl' cannot be read: No such file or directory"),
        (("a.jsonl", "--speed", "fast"), "speed"),
        (("a.jsonl", "--speed", "-1"), "speed"),
        (("a.jsonl", "-q"), "nothing would be given the text"),
    ],
)
def test_what_makes_no_sense_is_usage(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    done = shell.run("replay", *arguments)

    assert (done.code, done.stdout) == (2, b"")
    assert said in done.stderr


def test_stream_that_had_failed_fails_again_as_the_help_says(shell: Shell) -> None:
    shell.install_source(
        "failing",
        """
        def run(self, fan, request):
            with fan.open() as stream:
                stream.write("text")
                stream.fail("out of memory")
        """,
    )
    shell.run("run", "--source", "failing", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")

    done = shell.run("replay", "a.jsonl")

    assert (done.code, done.stdout) == (1, b"text")
    assert "out of memory" in done.stderr
    assert "it fails again, whatever is delivered" in " ".join(shell.run("replay", "--help").stdout.decode().split())


def test_torn_recording_is_told_and_exits_with_1(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")
    data = (shell.folder / "a.jsonl").read_bytes()
    (shell.folder / "torn.jsonl").write_bytes(data[: data.rindex(b'"type":"end"')])

    done = shell.run("replay", "torn.jsonl")

    assert (done.code, done.stdout) == (1, b"text")
    assert "torn.jsonl, line 3 was left out: " in done.stderr
    assert "ends before the stream does" in done.stderr


def test_replay_ends_in_a_pause_when_nobody_reads_any_more(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")
    *lines, end = shell.file("a.jsonl").splitlines()
    late = json.loads(end) | {"time": "2099-01-01T00:00:00Z"}
    (shell.folder / "a.jsonl").write_text("\n".join([*lines, json.dumps(late), ""]))
    read, write = os.pipe()
    os.close(read)

    done = shell.run("replay", "a.jsonl", "--speed", "1", stdout=write)
    os.close(write)

    assert (done.code, done.stderr) == (141, "")


def test_attempt_that_comes_after_a_later_one_is_said_once_and_exits_with_1(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")
    earlier = [json.dumps(json.loads(line) | {"attempt": 7}) for line in shell.file("a.jsonl").splitlines()]
    with (shell.folder / "a.jsonl").open("a") as file:
        file.write("\n".join([*earlier, ""]))

    done = shell.run("replay", "a.jsonl")

    assert (done.code, done.stdout) == (1, b"text")
    assert done.stderr.count("was left out: attempt 7 ") == 1
    assert "Error: recording 'a.jsonl' has attempts that could not be published: 1" in done.stderr


def test_text_that_was_changed_is_said_and_exits_with_1(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl", "-o", "file.format=jsonl")
    (shell.folder / "a.jsonl").write_text(shell.file("a.jsonl").replace('"text":"text"', '"text":"test"'))

    done = shell.run("replay", "a.jsonl", "-q", "-s", "file:b.txt", "-o", "file.mode=atomic")

    assert done.code == 1
    assert "its sha256 differs (line 3)" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_that_are_no_utf8_are_names_as_well(shell: Shell) -> None:
    odd, text = os.fsdecode(b"\xffodd"), os.fsdecode(b"caf\xe9.txt")
    shell.stdin("text", "-q", "-s", f"file:{odd}.jsonl")

    done = shell.run(
        *("replay", f"{odd}.jsonl", "-q", "-s", f"file:{text}", "-s", "full=file:/dev/full"),
        *("-o", "full.lane.max_elapsed=0.1s", "--spill-dir", f"{odd}.kept", "--metrics-file", f"{odd}.prom"),
    )
    again = shell.run("replay", f"{odd}.jsonl", f"{odd}.jsonl")

    assert (done.code, shell.file(text)) == (3, "text")
    assert "streamfan_sink_sent_bytes_total" in shell.file(f"{odd}.prom")
    assert len(list((shell.folder / f"{odd}.kept").iterdir())) == 1
    assert "try: streamfan replay '\\udcffodd.kept/" in done.stderr
    assert (again.code, again.stdout) == (0, b"text")


def test_error_that_was_recorded_forges_no_line(shell: Shell) -> None:
    shell.stdin("text", "-q", "-s", "file:a.jsonl")
    *begun, last = shell.file("a.jsonl").splitlines()
    fault = {"type": "Error", "message": "it broke\nError: forged"}
    end = {**json.loads(last), "finish_reason": "error", "error": fault}
    (shell.folder / "b.jsonl").write_text("\n".join([*begun, json.dumps(end), ""]))

    done = shell.run("replay", "b.jsonl", "-q", "-s", "file:c.txt")

    assert done.code == 1
    assert "it broke␊Error: forged\n" in done.stderr
