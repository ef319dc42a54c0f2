"""The channels that are listened to; what the servers say is scripted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamfan.redis.address import Address
from streamfan.redis.doorbell import Heard
from streamfan.redis.errors import Unreachable
from streamfan.subscriber import channels as module
from streamfan.subscriber.channels import Channels

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE, THERE = Address("redis://here"), Address("redis://there")


class ScriptedDoorbell:
    """A doorbell that says what a test wants it to say."""

    def __init__(self, address: Address, *, sharded: bool) -> None:
        self.address = address
        self.sharded = sharded
        self.asked: list[str] = []
        self.coming: list[Heard] = []

    def subscribe(self, channel: str) -> None:
        self.asked.append(f"+{channel}")

    def unsubscribe(self, channel: str) -> None:
        self.asked.append(f"-{channel}")

    def ping(self) -> None:
        self.asked.append("ping")

    @property
    def buffered(self) -> bool:
        return bool(self.coming)

    def messages(self) -> Iterator[Heard]:
        while self.coming:
            yield self.coming.pop(0)

    def close(self) -> None:
        self.asked.append("close")


@pytest.fixture
def doorbells(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedDoorbell]:
    """The doorbells that were made."""
    made: list[ScriptedDoorbell] = []

    def make(address: Address, *, sharded: bool, timeout: float) -> ScriptedDoorbell:
        made.append(ScriptedDoorbell(address, sharded=sharded))
        return made[-1]

    monkeypatch.setattr(module, "Doorbell", make)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, as its only item."""
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_each_server_has_one_connection_for_all_its_channels(doorbells: list[ScriptedDoorbell]) -> None:
    channels = Channels()

    for channel, address in (("a", HERE), ("b", HERE), ("c", THERE)):
        channels.listen(channel, address, sharded=False)

    assert [(doorbell.address, doorbell.asked) for doorbell in doorbells] == [(HERE, ["+a", "+b"]), (THERE, ["+c"])]


def test_what_comes_is_given_with_its_channel(doorbells: list[ScriptedDoorbell]) -> None:
    channels = Channels()
    channels.listen("a", HERE, sharded=False)
    doorbells[0].coming = [Heard("subscribed", "a", b""), Heard("message", "a", b"data")]

    assert list(channels.messages()) == [Heard("subscribed", "a", b""), Heard("message", "a", b"data")]


def test_a_server_that_never_stops_does_not_keep_the_others_from_being_heard(
    doorbells: list[ScriptedDoorbell], clock: list[float]
) -> None:
    channels = Channels()
    channels.listen("a", HERE, sharded=False)
    channels.listen("b", THERE, sharded=False)
    doorbells[0].coming = [Heard("message", "a", b"data")] * 1000
    doorbells[1].coming = [Heard("message", "b", b"data")]

    heard = []
    for message in channels.messages():
        clock[0] += 0.001
        heard.append(message.channel)

    assert 1 <= heard.count("a") < 100
    assert heard[-1] == "b"
    assert channels.buffered
    assert len(heard) + len(list(channels.messages())) + len(doorbells[0].coming) == 1001


def test_what_was_never_listened_to_can_be_ignored(doorbells: list[ScriptedDoorbell]) -> None:
    Channels().ignore("a")

    assert doorbells == []


def test_a_quiet_server_is_asked_and_lost_when_it_does_not_answer(
    doorbells: list[ScriptedDoorbell], clock: list[float]
) -> None:
    channels = Channels()
    channels.listen("a", HERE, sharded=False)

    clock[0] = 101.9
    channels.check()
    before = list(doorbells[0].asked)
    clock[0] = 102.0
    channels.check()
    clock[0] = 103.9
    channels.check()
    clock[0] = 104.0

    assert before == ["+a"]
    assert doorbells[0].asked == ["+a", "ping"]
    with pytest.raises(Unreachable, match=r"Redis at redis://here: no answer for 2\.0 s"):
        channels.check()


@pytest.mark.parametrize("answer", [Heard("pong", "", b""), Heard("message", "a", b"data")], ids=["pong", "message"])
def test_whatever_comes_shows_that_the_server_is_there(
    answer: Heard, doorbells: list[ScriptedDoorbell], clock: list[float]
) -> None:
    channels = Channels()
    channels.listen("a", HERE, sharded=False)

    for _ in range(5):
        clock[0] += 2.0
        channels.check()
        doorbells[0].coming = [answer]
        list(channels.messages())

    assert doorbells[0].asked == ["+a", *["ping"] * 5]


def test_hung_up_nothing_is_listened_to(doorbells: list[ScriptedDoorbell]) -> None:
    channels = Channels()
    channels.listen("a", HERE, sharded=False)

    channels.close()
    channels.ignore("a")
    channels.listen("a", HERE, sharded=False)
    doorbells[1].coming = [Heard("subscribed", "a", b"")]

    assert [doorbell.asked for doorbell in doorbells] == [["+a", "close"], ["+a"]]
    assert list(channels.messages()) == [Heard("subscribed", "a", b"")]
