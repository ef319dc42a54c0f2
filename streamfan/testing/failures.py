"""Promises about what is left behind, whatever went wrong before."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamfan.errors import Permanent
from streamfan.fan import Fan
from streamfan.sink import Sink
from streamfan.testing.kit import PATIENCE, SMALL, Kit, LoseReply, Run, possible_texts, wait_until
from streamfan.testing.promises import broken, promised
from streamfan.testing.suite import Suite
from streamfan.testing.values import MODEL, chunks, new_stream
from streamfan.testing.witness import Moment, Spoil, Witness

if TYPE_CHECKING:
    from streamfan.stream import Stream

_TEXT = "Once upon a time there was a lane"
_HALF = len(_TEXT) // 2
# What a fan that is closed waits for a sink that blocks.
_SHORT = 0.1
# Seconds between two beats, where a test waits for one.
_OFTEN = 0.05
# What a server at the other end may take to notice.
_RELEASE = 3.0


# A connection and a beat fail when the sink has done what it was told, for else it would not know of them.
_FAILURES: list[tuple[Moment, str]] = [
    *(("before", method) for method in ("open", "write", "close")),
    *(("after", method) for method in ("connect", "beat")),
]


def _refuse() -> None:
    raise Permanent("the kit has refused it")


def _beat_often(witness: Witness, method: str) -> None:
    """Have the lane beat soon, if that is what a test is about."""
    if method != "beat":
        return
    if witness.heartbeat is None:
        pytest.skip("the sink has no heartbeat")
    witness.heartbeat = _OFTEN


def _publish(fan: Fan, witness: Witness, method: str) -> Stream:
    """Publish a stream; there is a beat in the middle of it, if that is what a test is about."""
    with fan.open(model=MODEL) as stream:
        stream.write(_TEXT[:_HALF])
        if method == "beat":
            wait_until(lambda: "beat" in witness.seen.calls)
        stream.write(_TEXT[_HALF:])
    return stream


class FailureTests(Suite):
    """A sink can be closed and disconnected in every state, and then nothing of it is left."""

    def test_disconnect_works_without_a_connection(self, kit: Kit) -> None:
        """A sink that never reached its destination is disconnected too."""
        sink = kit.make()

        with promised("disconnect() of a sink that was not connected", Sink.disconnect):
            sink.disconnect()

    @pytest.mark.parametrize(("moment", "method"), _FAILURES)
    def test_failure_at_a_method_is_survived(self, kit: Kit, moment: Moment, method: str) -> None:
        """A stream is given up: it is closed if it was opened, and the sink is disconnected, without an error."""
        witness = Witness(kit.make(), Spoil(method, moment, _refuse))
        _beat_often(witness, method)

        with Fan(close_timeout=PATIENCE) as fan:
            fan.add(witness, lane=SMALL)
            if method == "connect":
                # Without a stream, for which it would be connected again.
                wait_until(lambda: "connect" in witness.seen.calls)
            else:
                _publish(fan, witness, method)

        for raising, error in witness.seen.raised:
            contract = getattr(Sink, raising)
            broken(f"{raising}() raised {error!r} after {method}() had failed", contract, error)

    def test_failed_stream_does_not_harm_another(self, kit: Kit) -> None:
        """One stream is given up in the middle, the other one arrives whole."""
        self._need_streams_apart()
        with Fan(close_timeout=PATIENCE) as fan, fan.open(model=MODEL) as failing, fan.open(model=MODEL) as other:
            witness = Witness(kit.make(), Spoil("write", "before", _refuse, failing.id))
            fan.add(witness, lane=SMALL)
            failing.write(_TEXT)
            other.write(_TEXT)
            failing.end()
            wait_until(lambda: "close" in witness.seen.calls)
            other.write(_TEXT)

        kit.check(other.info, other.text, Permanent)

    @pytest.mark.parametrize("method", ["connect", "open", "write", "beat", "close", "disconnect"])
    def test_call_that_blocked_leaves_a_valid_prefix(self, kit: Kit, method: str) -> None:
        """A call returns long after its fan was closed: what is there is a prefix, and the sink is disconnected."""
        gate, inside = threading.Event(), threading.Event()

        def block() -> None:
            inside.set()
            gate.wait(PATIENCE)

        witness = Witness(kit.make(), Spoil(method, "before", block))
        _beat_often(witness, method)
        fan = Fan()
        fan.add(witness, lane=SMALL)
        stream = _publish(fan, witness, method)
        # It is disconnected when the fan is closed.
        before = "close" if method == "disconnect" else method
        wait_until(lambda: before in witness.seen.calls)
        fan.close(_SHORT)
        blocked = inside.wait(PATIENCE)
        gate.set()

        if not (blocked and witness.gone.wait(PATIENCE)):
            broken(f"disconnect() did not return; the calls were {witness.seen.calls}", Sink.disconnect)
        found = kit.held(stream.info).text if "open" in witness.seen.calls else ""
        run = Run(stream.info, _TEXT, fan.report, witness)
        if not _TEXT.startswith(found) and found not in possible_texts(run):
            broken(f"{found!r} is no prefix of {_TEXT!r}", Sink.write)

    def test_beat_changes_no_text(self, kit: Kit) -> None:
        """It may come at any time between two calls, and the text stays what it is."""
        sink, stream = kit.connected(), new_stream()
        if sink.heartbeat is None:
            pytest.skip("the sink has no heartbeat")
        kit.open(sink, stream)
        for chunk in chunks(stream, "one ", "two ", "three"):
            kit.beat(sink, stream)
            kit.write(sink, chunk)
        kit.beat(sink, stream)
        kit.close(sink, stream, "one two three")

        kit.check(stream, "one two three", Sink.beat)

    @pytest.mark.parametrize("method", ["write", "disconnect"])
    def test_disconnect_releases_everything_after_errors(
        self, kit: Kit, lose_reply: LoseReply | None, method: str
    ) -> None:
        """No thread and no open file of the sink outlives it, even where a stream was given up or nobody answers."""
        if method == "disconnect" and lose_reply is None:
            pytest.skip("the suite has no fixture lose_reply")
        act = lose_reply if method == "disconnect" and lose_reply is not None else _refuse
        # The first time, libraries open what they keep.
        kit.publish(Witness(kit.make()), _TEXT)
        threads, files = set(threading.enumerate()), _open_files()

        kit.publish(Witness(kit.make(), Spoil(method, "before", act)), _TEXT)

        if not wait_until(lambda: set(threading.enumerate()) <= threads, _RELEASE):
            left = ", ".join(thread.name for thread in set(threading.enumerate()) - threads)
            broken(f"a thread is left after disconnect(): {left}", Sink.disconnect)
        if not wait_until(lambda: _open_files() <= files, _RELEASE):
            broken(f"{_open_files() - files} more files or sockets are open than before", Sink.disconnect)


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
