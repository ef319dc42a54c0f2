"""What docs/redis.md says: its examples are what the code writes and reads, and its users may do what they must."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from streamfan import Fan, subscribe
from streamfan.events import End, Start, Text, decode
from streamfan.redis.control import CancelRequest
from streamfan.redis.lease import Lease
from streamfan.redis.names import EntryId, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
USERS = re.findall(r"^ACL SETUSER (.*)$", PAGE, re.MULTILINE)
STREAM, TOKEN = "20261120-172331-k3f9", "correct horse"


@pytest.fixture
def users(server: RedisServer) -> Iterator[dict[str, str]]:
    """A URL for each user of the page."""
    urls = {}
    for line in USERS:
        name, *rules = line.split()
        server.client.execute_command("ACL", "SETUSER", name, *rules)
        urls[name] = server.url.replace("//", f"//{name}:SECRET@")
    yield urls
    for name in urls:
        server.client.acl_deluser(name)


def client(url: str) -> Any:
    return redis.Redis.from_url(url, decode_responses=True)


def test_log_of_the_page_is_one_by_its_own_rules() -> None:
    lines = re.findall(r"^(\d+-\d+)\n(\{.*\})$", PAGE, re.MULTILINE)

    events = [(EntryId.parse(id.encode()), decode(event)) for id, event in lines]

    data = b""
    for (attempt, sequence), event in events:
        assert (event.stream, event.attempt) == (STREAM, attempt)
        match event:
            case Start():
                assert sequence == 0
            case Text():
                assert (event.offset, event.end) == (len(data), sequence)
                data += event.text.encode()
            case End():
                assert (event.offset, sequence) == (len(data), len(data) + 1)
                assert event.sha256 == hashlib.sha256(data).hexdigest()
    assert [type(event) for _, event in events] == [Start, Text, Text, End]


def test_lease_and_requests_of_the_page_are_read_by_the_code() -> None:
    lease, proven = re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)
    (plain,) = re.findall(r"^SET \S+ '(.*)' PX", PAGE, re.MULTILINE)

    assert Lease.decode(lease.encode()).control == "open"
    assert CancelRequest.decode(plain.encode()).by == "alice"
    assert not CancelRequest.decode(plain.encode()).proves(TOKEN, STREAM)
    assert CancelRequest.decode(proven.encode()).proves(TOKEN, STREAM)


def test_names_of_the_page_are_those_of_the_code() -> None:
    names = Names("streamfan", "ID")

    for name in (names.log, names.live, names.attempt, names.lease, names.cancel):
        assert f"`{name}`" in PAGE


def test_every_field_of_an_event_is_explained() -> None:
    table = PAGE.partition("| field | in |")[2].partition("\n\n")[0]
    fields = {
        field for _, event in re.findall(r"^(\d+-\d+)\n(\{.*\})$", PAGE, re.MULTILINE) for field in json.loads(event)
    }

    assert {field for field in fields if f"`{field}`" not in table} == {"type"}


@pytest.mark.parametrize("scripts", [True, False])
def test_users_of_the_page_may_do_what_they_must(server: RedisServer, users: dict[str, str], *, scripts: bool) -> None:
    if not scripts:
        server.client.execute_command("ACL", "SETUSER", "producer", "-eval")
    with Fan(users["producer"]) as fan, fan.open(id=STREAM) as stream:
        stream.write("世界")

    assert not fan.report.failures
    reading = [sys.executable, str(ROOT / "examples" / "redis_subscriber.py"), STREAM, users["reader"]]
    assert subprocess.run(reading, check=True, capture_output=True, timeout=30).stdout.decode() == "世界"
    with client(users["stopper"]) as stopper:
        assert stopper.set(f"streamfan:{{{STREAM}}}:cancel", "{}", px=1000)


def test_the_reader_of_the_page_asks_for_nothing_that_it_may_not(server: RedisServer, users: dict[str, str]) -> None:
    with Fan(users["producer"]) as fan, fan.open(id=STREAM) as stream:
        stream.write("世界")
    server.client.execute_command("ACL", "LOG", "RESET")
    before = server.client.info("stats")["total_connections_received"]

    text = "".join(subscribe(users["reader"], STREAM))

    assert text == "世界"
    assert server.client.execute_command("ACL", "LOG") == []
    # One for commands, and one for the channel.
    assert server.client.info("stats")["total_connections_received"] - before == 2


def test_users_of_the_page_may_not_do_more(server: RedisServer, users: dict[str, str]) -> None:
    lease = f"streamfan:{{{STREAM}}}:lease"

    with client(users["reader"]) as reader, client(users["stopper"]) as stopper, client(users["producer"]) as producer:
        attempts: list[Callable[[], object]] = [
            lambda: reader.set(f"streamfan:{{{STREAM}}}:cancel", "{}"),
            lambda: reader.publish(f"streamfan:{{{STREAM}}}:live", "{}"),
            lambda: stopper.set(lease, "{}"),
            lambda: producer.set("somebody:else", "1"),
            lambda: producer.eval("return redis.call('SET', KEYS[1], '1')", 1, "somebody:else"),
        ]
        for attempt in attempts:
            with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
                attempt()
