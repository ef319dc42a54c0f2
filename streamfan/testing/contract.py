"""The contract kit: what every sink promises, as tests that a plugin's suite inherits."""

from __future__ import annotations

from streamfan.testing.failures import FailureTests
from streamfan.testing.gaps import GapTests
from streamfan.testing.packaging import PackageTests
from streamfan.testing.retries import RetryTests
from streamfan.testing.streams import StreamTests
from streamfan.testing.texts import TextTests


class SinkContract(TextTests, StreamTests, RetryTests, GapTests, FailureTests, PackageTests):
    """The tests that every sink has to pass; subclass it, and give it two fixtures.

        class TestLines(SinkContract):
            @pytest.fixture
            def sink(self, tmp_path):
                return lambda: LinesSink(str(tmp_path))

            @pytest.fixture
            def received(self, tmp_path):
                return lambda stream: (tmp_path / stream.id).read_text()

    `sink` is a function that makes one more sink for the same destination, and does nothing else; the kit connects and
    disconnects it.
    `received` is a function of a `StreamInfo` that gives what the destination holds of it, and waits for what is still
    on its way: the text, or where offsets are kept a list of `(offset, text)` or of events, in the order they came and
    repeated ones included. It is called only for streams that were opened.

    A third fixture is worth its while where there is a connection: `lose_reply`, a function that has the destination
    take what comes next and its reply get lost.

    What a sink promises (`delivery`, `accepts_gaps`, `heartbeat`, `lane_defaults`) is read from the sink.

    Attributes:
        exclude: Tests that this sink need not pass, each with the reason, which is shown.
        tells_streams_apart: Whether the destination knows which text is whose; else `received` gives all of it.
        shows_open_streams: Whether the destination can be read before a stream is closed.
        large: Bytes of the large text.
        light_imports: Top-level packages that importing the sink's module may import, beside the standard library, what
            streamfan needs itself, and the package that the module is in.
    """
