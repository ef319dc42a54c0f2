"""The blocks of docs/subscribing.md, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamfan import Fan, ProducerLost, Restarted
from tests.support.producer import Background, Producer
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "subscribing.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's blocks define."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_loop_reads_a_stream_that_is_about_to_begin(page: dict[str, Any], server: RedisServer) -> None:
    reading = Background(lambda: page["read"](server.url, "s"))

    with Fan(server.url) as fan, fan.open("s") as stream:
        stream.write("Once upon a time")

    assert reading.result() == "Once upon a time"


def test_the_loop_goes_on_after_a_hole(page: dict[str, Any], server: RedisServer) -> None:
    with Producer(server.url) as producer:
        producer.write("Once ", "upon ", "a time")
        producer.end()
        server.client.xtrim(producer.names.log, maxlen=2, approximate=False)

    assert page["read"](server.url, "s") == "[10 bytes are missing]a time"


def test_the_loop_begins_again_with_a_later_attempt(page: dict[str, Any], server: RedisServer) -> None:
    with Producer(server.url, attempt=7) as old, Producer(server.url, attempt=8, prefix="later") as new:
        old.write("Once ")
        new.write("Again")
        new.end()
        reading = Background(lambda: page["read"](server.url, "s"))
        wait_until(lambda: server.client.pubsub_numsub(old.names.live)[0][1])

        for id, fields in server.client.xrange(new.names.log):
            server.client.xadd(old.names.log, fields, id=id)

        assert reading.result() == "Again"


def test_the_loop_does_not_wait_for_a_producer_for_ever(page: dict[str, Any], server: RedisServer) -> None:
    with Producer(server.url) as producer:
        producer.write("Once ")
        producer.show_life(0.2)

    with pytest.raises(ProducerLost):
        page["read"](server.url, "s")


def test_another_program_goes_on_in_the_same_attempt_alone(page: dict[str, Any], server: RedisServer) -> None:
    kept: list[tuple[str, int, int]] = []
    with Producer(server.url, attempt=7) as producer:
        producer.write("Once ", "upon")
        producer.end()
        page["read_on"](server.url, "s", 5, 7, lambda *what: kept.append(what))
    with Producer(server.url, attempt=8), pytest.raises(Restarted):
        page["read_on"](server.url, "s", 5, 7, lambda *what: kept.append(what))

    assert kept == [("upon", 9, 7)]


async def test_several_streams_are_read_at_the_same_time(page: dict[str, Any], server: RedisServer) -> None:
    with Fan(server.url) as fan:
        for id in "ab":
            with fan.open(id) as stream:
                stream.write(f"text of {id}")

    assert await page["read_all"](server.url, ["a", "b"]) == ["text of a", "text of b"]


def test_new_streams_are_read_and_what_fails_is_shown(page: dict[str, Any], server: RedisServer) -> None:
    shown: list[tuple[str, str]] = []

    def show(stream: str, text: str) -> None:
        shown.append((stream, text))
        if stream == "b":
            raise StopIteration(shown)

    reading = Background(lambda: page["read_new"](server.url, show))
    wait_until(lambda: server.client.pubsub_numsub("streamfan:streams")[0][1])
    with Fan(server.url) as fan:
        fan.open("a").fail("no more")
        with fan.open("b") as stream:
            stream.write("text of b")

    with pytest.raises(StopIteration):
        reading.result()
    assert [stream for stream, _ in shown] == ["a", "b"]


def test_a_model_is_stopped(page: dict[str, Any], server: RedisServer) -> None:
    with Fan() as fan:
        fan.add(server.url, control=True)
        with fan.open("s") as stream:
            stream.write("Once ")
            wait_until(lambda: server.client.exists("streamfan:{s}:log"))
            reading = Background(lambda: page["read_until"](server.url, "s", lambda text: "Once" in text))
            wait_until(lambda: stream.cancelled)
            stream.write("upon")

    assert reading.result() == "Once upon"
    (report,) = fan.report.streams
    assert report.finish_reason == "cancelled"
