"""The FastAPI example, as browsers use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import pytest

from streamfan import Fan
from streamfan.sinks.redis import RedisOptions, RedisSink
from tests.support.redis_server import RedisServer, free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
LOG = "streamfan:{s}:log"
TEXT = "Once upon 🦊\n\n狐狸: data: x\r\n"


class Message(NamedTuple):
    """An event as a browser has it."""

    kind: str
    id: str | None
    data: str


class Relay:
    """A running example."""

    def __init__(self, server: RedisServer) -> None:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "fastapi_sse:app"]
        environ = {**os.environ, "REDIS_URL": server.url}
        self._process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
        wait_until(self._answers)

    def read(self, last_event_id: str | None = None) -> Iterator[Message]:
        """What a browser is sent, as it comes."""
        headers = {} if last_event_id is None else {"last-event-id": last_event_id}
        with self._client.stream("GET", "/streams/s", headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    yield Message(fields.get("event", "message"), fields.get("id"), fields.get("data", ""))
                    fields = {}

    def cancel(self) -> int:
        return int(self._client.delete("/streams/s").status_code)

    def status(self) -> int:
        return int(self._client.get("/streams/s").status_code)

    def close(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        try:
            return self._client.get("/docs").is_success
        except httpx2.TransportError:
            return False


@pytest.fixture(scope="module")
def running_relay(running_server: RedisServer) -> Iterator[Relay]:
    relay = Relay(running_server)
    yield relay
    relay.close()


@pytest.fixture
def relay(server: RedisServer, running_relay: Relay) -> Relay:
    return running_relay


def text_of(messages: list[Message]) -> str:
    return "".join(json.loads(message.data) for message in messages if message.kind == "message")


def end_of(messages: list[Message]) -> Any:
    """What the last of them says, which is the end."""
    assert messages[-1].kind == "end"
    return json.loads(messages[-1].data)


def test_a_browser_has_the_text_and_its_end(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, fan.open(id="s", attempt=7) as stream:
        stream.write(TEXT)

    messages = list(relay.read())

    assert text_of(messages) == TEXT
    assert messages[-1].id == f"7-{len(TEXT.encode())}"
    assert end_of(messages) == {"finish_reason": "stop", "error": None, "cancel": None}


def test_a_browser_that_comes_back_goes_on_where_it_was(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write("Once upon 🦊")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        first = next(relay.read())
        stream.write(" a time")

    rest = list(relay.read(first.id))

    assert text_of([first]) == "Once upon 🦊"
    assert text_of(rest) == " a time"


def test_a_browser_that_has_another_attempt_is_told_to_begin_again(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, fan.open(id="s", attempt=8) as stream:
        stream.write("another text")

    assert list(relay.read("7-3")) == [Message("restart", "", "")]


def test_an_error_of_the_producer_is_the_end(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, pytest.raises(ValueError, match="broken"), fan.open(id="s") as stream:
        stream.write("half")
        raise ValueError("broken")

    messages = list(relay.read())

    assert text_of(messages) == "half"
    error = {"type": "ValueError", "message": "broken"}
    assert end_of(messages) == {"finish_reason": "error", "error": error, "cancel": None}


def test_a_browser_is_told_of_text_that_is_gone_and_has_the_rest(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write("gone ")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        stream.write("and there")
    server.client.xdel(LOG, server.client.xrange(LOG)[1][0])

    messages = list(relay.read())

    assert [(message.kind, message.data) for message in messages[:2]] == [("gap", "[0, 5]"), ("message", '"and there"')]
    assert messages[-1].kind == "end"


def test_a_stream_that_is_not_there_is_not_found(relay: Relay) -> None:
    assert relay.status() == 404
    assert relay.cancel() == 404


def test_a_browser_that_leaves_stops_nothing(server: RedisServer, relay: Relay) -> None:
    with Fan() as fan:
        fan.add(RedisSink(server.url, RedisOptions.model_validate({"control": True})))
        stream = fan.open(id="s")
        stream.write("before")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        next(relay.read())
        stream.write(" and after")
        stream.end("stop")

    assert server.client.exists("streamfan:{s}:cancel") == 0
    assert text_of(list(relay.read())) == "before and after"


def test_a_browser_can_stop_the_producer(server: RedisServer, relay: Relay) -> None:
    with Fan() as fan:
        fan.add(RedisSink(server.url, RedisOptions.model_validate({"control": True})))
        stream = fan.open(id="s")
        stream.write("before")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        reading = relay.read()
        next(reading)

        assert relay.cancel() == 202
        wait_until(lambda: stream.cancelled)
        stream.end("cancelled")
        cancel = {"reason": "stopped in the browser", "by": "browser"}
        assert end_of(list(reading)) == {"finish_reason": "cancelled", "error": None, "cancel": cancel}


def test_a_producer_that_hears_nobody_is_not_stopped(server: RedisServer, relay: Relay) -> None:
    with Fan(server.url) as fan, fan.open(id="s") as stream:
        stream.write("before")
        wait_until(lambda: server.client.xlen(LOG) == 2)
        next(relay.read())

        assert relay.cancel() == 409
