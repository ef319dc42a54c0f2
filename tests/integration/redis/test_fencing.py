"""Two writers of one stream: the later attempt has it, and the other is told who."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent
from streamfan.events import Text, encode
from streamfan.redis.control import CancelRequest
from streamfan.redis.lease import Lease
from tests.support.deliveries import chunks, ending
from tests.support.redis_sinks import between, log_of
from tests.support.streams import info

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer
    from tests.support.redis_sinks import Make

OLD = replace(info(), attempt=5, writer="old1")
NEW = replace(info(), attempt=6, writer="new1")
BOTH = re.escape("stream 's': attempt 6 of writer 'new1' has taken over from attempt 5 of writer 'old1'")


def test_a_later_attempt_fences_off_every_call_of_the_older_one(server: RedisServer, make: Make) -> None:
    sink = make()
    sink.open(OLD)
    sink.write(chunks(OLD, "old ")[0])
    make().open(NEW)
    before = log_of(server.client)

    with pytest.raises(Permanent, match=f"^{BOTH}$"):
        sink.write(chunks(OLD, "old ", "text")[1])
    with pytest.raises(Permanent, match=f"^{BOTH}$"):
        sink.beat(OLD)
    with pytest.raises(Permanent, match=f"^{BOTH}$"):
        sink.open(OLD)
    with pytest.raises(Permanent, match=f"^{BOTH}$"):
        sink.close(OLD, ending(OLD, "old text"))

    assert log_of(server.client) == before
    assert Lease.decode(server.client.get("streamfan:{s}:lease")).writer == "new1"


def test_the_same_attempt_of_another_writer_is_refused(make: Make) -> None:
    make().open(OLD)

    with pytest.raises(Permanent, match="attempt 5 of writer 'old1' has taken over from attempt 5 of writer 'other'"):
        make().open(replace(OLD, writer="other"))


def test_an_older_attempt_is_refused_also_when_the_log_is_gone(server: RedisServer, make: Make) -> None:
    make().open(NEW)
    server.client.delete("streamfan:{s}:log")

    with pytest.raises(Permanent, match=BOTH):
        make().open(OLD)

    assert not server.client.exists("streamfan:{s}:log")


def test_an_older_attempt_is_refused_also_when_only_the_log_is_left(server: RedisServer, make: Make) -> None:
    make().open(NEW)
    server.client.delete("streamfan:{s}:attempt")

    with pytest.raises(Permanent, match="stream 's': attempt 6 has taken over from attempt 5 of writer 'old1'"):
        make().open(OLD)


def test_an_attempt_from_the_future_says_that_the_clock_may_be_behind(make: Make) -> None:
    make().open(replace(NEW, attempt=int(time.time() * 1000) + 3_600_000))

    with pytest.raises(Permanent, match=r"; that is (3599|3600) s ahead of the clock here, which may be behind$"):
        make().open(OLD)


def test_an_older_attempt_that_beats_while_it_is_taken_over_from_leaves_the_later_lease_alone(
    server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(), make()
    old.open(OLD)
    # Between its asking whose the stream is, and its renewing the lease.
    between(monkeypatch, 1, lambda: new.open(NEW))

    old.beat(OLD)

    assert Lease.decode(server.client.get("streamfan:{s}:lease")).writer == "new1"
    with pytest.raises(Permanent, match=BOTH):
        old.beat(OLD)


def test_an_attempt_that_comes_late_to_take_over_leaves_the_later_lease_alone(
    server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(), make()
    between(monkeypatch, 1, lambda: new.open(NEW))

    with pytest.raises(Permanent, match=BOTH):
        old.open(OLD)

    assert Lease.decode(server.client.get("streamfan:{s}:lease")).writer == "new1"


def test_an_attempt_that_ends_while_it_is_taken_over_from_leaves_what_is_of_the_later_one(
    server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(control=True), make(control=True)
    past, request = (CancelRequest(attempt=each.attempt, reason="enough", by="ann").encode() for each in (OLD, NEW))
    old.open(OLD)
    server.client.set("streamfan:{s}:cancel", past)

    def take_over() -> None:
        new.open(NEW)
        server.client.set("streamfan:{s}:cancel", request)

    # Between its looking at both, and its taking away what is its own.
    between(monkeypatch, 1, take_over)

    old.close(OLD, ending(OLD))

    assert Lease.decode(server.client.get("streamfan:{s}:lease")).writer == "new1"
    assert server.client.get("streamfan:{s}:cancel") == request.decode()


@pytest.mark.parametrize("lease", [Lease(attempt=6, writer="new1", seconds=20.0).encode(), b"6 new1"])
def test_the_lease_of_another_writer_is_left_alone(lease: bytes, server: RedisServer, make: Make) -> None:
    sink = make()
    sink.open(OLD)
    server.client.set("streamfan:{s}:lease", lease)

    sink.close(OLD, ending(OLD))

    assert server.client.get("streamfan:{s}:lease") == lease.decode()


def test_an_attempt_that_another_writer_has_begun_is_refused_also_when_its_claim_is_gone(
    server: RedisServer, make: Make
) -> None:
    make().open(OLD)
    server.client.delete("streamfan:{s}:attempt")

    with pytest.raises(Permanent, match="attempt 5 of writer 'old1' has taken over from attempt 5 of writer 'other'"):
        make().open(replace(OLD, writer="other"))

    assert Lease.decode(server.client.get("streamfan:{s}:lease")).writer == "old1"
    make().open(OLD)


def test_an_entry_that_another_writer_of_the_same_attempt_has_written_is_not_taken_for_ours(
    server: RedisServer, make: Make
) -> None:
    sink, text = make(), chunks(OLD, "Once upon")[0]
    sink.open(OLD)
    server.client.delete("streamfan:{s}:attempt")
    server.client.xadd("streamfan:{s}:attempt", {"lease": "20", "writer": "other"}, id="5-0")
    server.client.xadd("streamfan:{s}:log", {"event": encode(Text.of(text))}, id="5-9")

    with pytest.raises(Permanent, match="attempt 5 of writer 'other' has taken over from attempt 5 of writer 'old1'"):
        sink.write(text)


def test_a_log_whose_last_entry_was_deleted_is_not_written_to(server: RedisServer, make: Make) -> None:
    sink = make()
    first, second = chunks(OLD, "Once ", "upon")
    sink.open(OLD)
    sink.write(first)
    sink.write(second)
    server.client.xdel("streamfan:{s}:log", "5-9")
    sink.open(OLD)

    with pytest.raises(Permanent, match="refuses entry 5-9, but its last is 5-5: somebody has deleted entries\nTry: "):
        sink.write(second)


def test_a_stream_that_was_taken_over_is_not_begun_again_where_the_server_has_forgotten_by_whom(
    server: RedisServer, make: Make
) -> None:
    sink = make()
    sink.open(OLD)
    make().open(NEW)
    with pytest.raises(Permanent, match=BOTH):
        sink.write(chunks(OLD, "old ")[0])
    server.client.flushall()

    with pytest.raises(Permanent, match=BOTH):
        sink.beat(OLD)
    with pytest.raises(Permanent, match=BOTH):
        sink.open(OLD)

    assert server.client.keys() == []
