"""The examples, run as a reader of the docs would run them, against what the real sink writes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamfan import Fan
from tests.support.redis_server import RedisServer
from tests.support.sinks import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PIECES = [
    "Once upon 🦊",
    "🏽 met a\n",
    "狐狸 in the 森林，",
    "\r\n\tand ",
    "e\u0301 said: 👩‍👩‍👧‍👦\n",
    "The end.",
]
TEXT = "".join(PIECES)
LOG = "streamfan:{s}:log"
PATIENCE = 40


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is for Node.js, with what it needs, installed as the example says."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "redis_subscriber.mjs"):
        shutil.copy(EXAMPLES / name, folder)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(command, cwd=folder, check=True, timeout=PATIENCE)
    return folder


@pytest.fixture(params=["redis-py", "node"])
def reader(request: pytest.FixtureRequest) -> list[str]:
    """The command of one of the subscribers, to which a stream and a URL are to be added."""
    return command_of(request.param, request.getfixturevalue("node_folder") if request.param == "node" else EXAMPLES)


def command_of(name: str, folder: Path) -> list[str]:
    if name == "node":
        return ["node", str(folder / "redis_subscriber.mjs")]
    return [sys.executable, str(folder / "redis_subscriber.py")]


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ending(process: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    """Its exit code, and what it wrote to stdout and stderr."""
    try:
        output, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, output, stderr.decode()


def listeners(server: RedisServer) -> int:
    """How many listen to the stream's channel."""
    return int(server.client.pubsub_numsub("streamfan:{s}:live")[0][1])


def blocked(server: RedisServer) -> int:
    """How many wait for the log to grow."""
    return sum(client["cmd"] == "xread" for client in server.client.client_list())


def texts_in(raw: bytes) -> list[str]:
    """The texts of the events in the raw output of redis-cli, where each is a line."""
    lines = [line for line in raw.decode().split("\n") if line.startswith('{"v":1,')]
    return [json.loads(line).get("text", "") for line in lines]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_every_reader_in_every_language_has_the_same_bytes(server: RedisServer, node_folder: Path) -> None:
    cli = ("redis-cli", "-u", server.url, "--raw")
    told = start(*cli, "SUBSCRIBE", "streamfan:{s}:live")
    wait_until(lambda: listeners(server) == 1)

    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write(PIECES[0])
        wait_until(lambda: server.client.xlen(LOG) == 2)
        python = start(*command_of("redis-py", EXAMPLES), "s", server.url)
        node = start(*command_of("node", node_folder), "s", server.url)
        wait_until(lambda: listeners(server) == 2 and blocked(server) == 1)
        for number, piece in enumerate(PIECES[1:], 3):
            stream.write(piece)
            wait_until(lambda number=number: server.client.xlen(LOG) == number)  # type: ignore[misc]
    late = start(*command_of("redis-py", EXAMPLES), "s", server.url)
    later = start(*command_of("node", node_folder), "s", server.url)
    read = [
        subprocess.run([*cli, *command], check=True, capture_output=True, timeout=PATIENCE).stdout
        for command in (
            ("XREAD", "COUNT", "1000", "STREAMS", LOG, "0"),
            ("XRANGE", LOG, "-", "+"),
        )
    ]

    ended = [ending(process) for process in (python, node, late, later)]
    told.terminate()
    found = {sha256(output) for _, output, _ in ended}
    found |= {sha256("".join(texts_in(raw)).encode()) for raw in (*read, ending(told)[1])}
    assert [(code, stderr) for code, _, stderr in ended] == [(0, "")] * 4
    assert found == {sha256(TEXT.encode())} == {fan.report.streams[0].sha256}
    assert len(texts_in(read[0])) == len(PIECES) + 2


def test_a_stream_that_was_cancelled_or_empty_has_an_end_like_any_other(server: RedisServer, reader: list[str]) -> None:
    with Fan(server.url) as fan:
        fan.open(id="s").end("cancelled")

    assert ending(start(*reader, "s", server.url)) == (0, b"", "")


def test_a_server_that_is_killed_and_comes_back_with_its_file_is_read_on(reader: list[str]) -> None:
    with RedisServer("appendonly yes", "appendfsync always") as server, Fan(server.url) as fan:
        with fan.open(id="s") as stream:
            stream.write(PIECES[0])
            wait_until(lambda: server.client.xlen(LOG) == 2)
            process = start(*reader, "s", server.url)
            assert process.stdout is not None
            begun = process.stdout.read(len(PIECES[0].encode()))
            server.kill()
            server.start()
            for piece in PIECES[1:]:
                stream.write(piece)

        code, output, stderr = ending(process)

    assert (code, (begun + output).decode(), stderr) == (0, TEXT, "")


def test_no_such_stream_is_said_at_once(server: RedisServer, reader: list[str]) -> None:
    code, output, stderr = ending(start(*reader, "s", server.url))

    assert (code, output, stderr) == (1, b"", "\nthere is no stream 's'\n")


def test_an_error_of_the_producer_comes_after_its_text(server: RedisServer, reader: list[str]) -> None:
    with Fan(server.url) as fan, pytest.raises(ValueError, match="out of luck"), fan.open(id="s") as stream:
        stream.write(TEXT)
        raise ValueError("out of luck")

    code, output, stderr = ending(start(*reader, "s", server.url))

    assert (code, output.decode(), stderr) == (1, TEXT, "\nthe producer failed: out of luck\n")


def test_what_is_missing_is_said(server: RedisServer, reader: list[str]) -> None:
    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write("gone")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        stream.write(" and there")
    gone = server.client.xrange(LOG)[1][0]
    server.client.xdel(LOG, gone)

    code, output, stderr = ending(start(*reader, "s", server.url))

    assert (code, output) == (1, b"")
    assert "after 0 bytes" in stderr


def test_a_text_that_is_not_the_producers_is_noticed(server: RedisServer, reader: list[str]) -> None:
    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write("true")
    entries = server.client.xrange(LOG)
    server.client.delete(LOG)
    for id, fields in entries:
        server.client.xadd(LOG, {"event": fields["event"].replace('"true"', '"fake"')}, id=id)

    code, output, stderr = ending(start(*reader, "s", server.url))

    assert (code, output, stderr) == (1, b"fake", "\nthis is not the text that was written\n")


def test_a_producer_that_was_lost_is_given_up(server: RedisServer, reader: list[str]) -> None:
    event = text_event(attempt=7, offset=0, text="half")
    server.client.xadd("streamfan:{s}:attempt", {"writer": "w", "lease": "1"}, id="7-0")
    server.client.xadd(LOG, {"event": event}, id="7-4")

    code, output, stderr = ending(start(*reader, "s", server.url))

    assert (code, output, stderr) == (1, b"half", "\nthe producer is lost after 4 bytes\n")


def test_another_attempt_is_never_spliced_onto_the_first(server: RedisServer, reader: list[str]) -> None:
    server.client.set("streamfan:{s}:lease", "here")
    server.client.xadd(LOG, {"event": text_event(attempt=7, offset=0, text="first")}, id="7-5")
    process = start(*reader, "s", server.url)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"first"

    with Fan(server.url) as fan, fan.open(id="s", attempt=8) as stream:
        stream.write("second, and longer")

    code, output, _ = ending(process)
    assert (code, output) == (1, b"")


def test_text_that_comes_in_overlapping_pieces_is_taken_once(server: RedisServer, reader: list[str]) -> None:
    """Two sinks of one program that write to one server cut the text at different places."""
    events: list[tuple[str, str]] = [
        ("7-5", text_event(attempt=7, offset=0, text="a狐b")),
        ("7-10", text_event(attempt=7, offset=4, text="bc🦊")),
    ]
    whole = "a狐bc🦊"
    end = {"v": 1, "type": "end", "stream": "s", "attempt": 7, "offset": 10, "finish_reason": "stop", "error": None}
    events.append(("7-11", json.dumps({**end, "sha256": sha256(whole.encode())})))
    for id, event in events:
        server.client.xadd(LOG, {"event": event}, id=id)

    assert ending(start(*reader, "s", server.url)) == (0, whole.encode(), "")


def text_event(*, attempt: int, offset: int, text: str) -> str:
    event: dict[str, Any] = {"v": 1, "type": "text", "stream": "s", "attempt": attempt, "offset": offset}
    return json.dumps({**event, "end": offset + len(text.encode()), "text": text, "time": "2026-11-20T17:23:31Z"})
