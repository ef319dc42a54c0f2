"""What all groups of the kit's tests have in common: the fixtures, what can be left out, and what a sink can do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from streamfan.errors import UsageError
from streamfan.specs import did_you_mean
from streamfan.testing.kit import Kit, LoseReply, MakeSink, Received

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MISSING = """{kit} lacks the fixture {name!r}. In the class:

    @pytest.fixture
    def {name}(self):
        return {example}"""


class Suite:
    """Fixtures and settings; see `SinkContract`, which is what plugins subclass."""

    exclude: ClassVar[Mapping[str, str]] = {}
    tells_streams_apart: ClassVar[bool] = True
    shows_open_streams: ClassVar[bool] = True
    large: ClassVar[int] = 1 << 20
    light_imports: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        tests = {name for name in dir(cls) if name.startswith("test_")}
        for name, reason in cls.exclude.items():
            if name not in tests:
                raise UsageError(
                    f"{cls.__qualname__}.exclude names {name!r}, which is no test of it{did_you_mean(name, tests)}"
                )
            if not reason.strip():
                raise UsageError(f"{cls.__qualname__}.exclude gives no reason for {name!r}")

    @pytest.fixture
    def sink(self) -> MakeSink:
        """Makes one more sink for the same destination; a plugin's suite has to say how."""
        self._missing("sink", "lambda: YourSink(target)")

    @pytest.fixture
    def received(self) -> Received:
        """Reads back what the destination holds of a stream; a plugin's suite has to say how."""
        self._missing("received", "lambda stream: text_of(target, stream.id)")

    @pytest.fixture
    def lose_reply(self) -> LoseReply | None:
        """Has the destination take what comes next, and its reply get lost; None where a suite cannot arrange that."""
        return None

    @pytest.fixture(autouse=True)
    def _heed_exclusions(self, request: pytest.FixtureRequest) -> None:
        reason = self.exclude.get(request.function.__name__)
        if reason is not None:
            pytest.skip(reason)

    @pytest.fixture
    def kit(self, sink: MakeSink, received: Received, caplog: pytest.LogCaptureFixture) -> Iterator[Kit]:
        """The sink under test and its destination."""
        # What a sink raises on a lane's thread is in the log, with its traceback.
        caplog.set_level(logging.DEBUG, "streamfan.lane")
        kit = Kit(sink, received)
        yield kit
        kit.release()

    def _missing(self, name: str, example: str) -> NoReturn:
        pytest.fail(_MISSING.format(kit=type(self).__name__, name=name, example=example), pytrace=False)

    def _need_streams_apart(self) -> None:
        if not self.tells_streams_apart:
            pytest.skip("the destination does not tell streams apart")
