"""Promises about what is left behind, whatever went wrong before."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streamfan.errors import Permanent
from streamfan.fan import Fan
from streamfan.sink import Sink
from streamfan.testing.kit import PATIENCE, SMALL, Kit, Run, possible_texts, wait_until
from streamfan.testing.promises import broken, promised
from streamfan.testing.suite import Suite
from streamfan.testing.values import MODEL, chunks, new_stream
from streamfan.testing.witness import Spoil, Witness

_TEXT = "Once upon a time there was a lane"
# What a fan that is closed waits for a sink that blocks.
_SHORT = 0.1
# What a server at the other end may take to notice.
_RELEASE = 3.0


def _refuse() -> None:
    raise Permanent("the kit has refused it")


class FailureTests(Suite):
    """A sink can be closed and disconnected in every state, and then nothing of it is left."""

    def test_disconnect_works_without_a_connection(self, kit: Kit) -> None:
        """A sink that never reached its destination is disconnected too."""
        sink = kit.make()

        with promised("disconnect() of a sink that was not connected", Sink.disconnect):
            sink.disconnect()

    @pytest.mark.parametrize("method", ["open", "write", "close"])
    def test_failure_at_a_method_is_survived(self, kit: Kit, method: str) -> None:
        """A stream is given up: it is closed if it was opened, and the sink is disconnected, without an error."""
        witness = Witness(kit.make(), Spoil(method, "before", _refuse))

        kit.publish(witness, _TEXT)

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

    @pytest.mark.parametrize("method", ["open", "write", "close"])
    def test_call_that_blocked_leaves_a_valid_prefix(self, kit: Kit, method: str) -> None:
        """A call returns long after its fan was closed: what is there is a prefix, and the sink is disconnected."""
        gate, inside = threading.Event(), threading.Event()

        def block() -> None:
            inside.set()
            gate.wait(PATIENCE)

        witness = Witness(kit.make(), Spoil(method, "before", block))
        fan = Fan()
        fan.add(witness, lane=SMALL)
        with fan.open(model=MODEL) as stream:
            stream.write(_TEXT)
        blocked = inside.wait(PATIENCE)
        fan.close(_SHORT)
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

    def test_disconnect_releases_everything_after_errors(self, kit: Kit) -> None:
        """No thread and no open file of the sink outlives it, even where a stream was given up."""
        # The first time, libraries open what they keep.
        kit.publish(Witness(kit.make()), _TEXT)
        threads, files = set(threading.enumerate()), _open_files()

        kit.publish(Witness(kit.make(), Spoil("write", "before", _refuse)), _TEXT)

        if not wait_until(lambda: set(threading.enumerate()) <= threads, _RELEASE):
            left = ", ".join(thread.name for thread in set(threading.enumerate()) - threads)
            broken(f"a thread is left after disconnect(): {left}", Sink.disconnect)
        if not wait_until(lambda: _open_files() <= files, _RELEASE):
            broken(f"{_open_files() - files} more files or sockets are open than before", Sink.disconnect)


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
