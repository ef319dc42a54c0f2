"""What every error can do: be copied and pickled, whatever its constructor takes."""

from __future__ import annotations

import pickle
from copy import copy

import pytest

from streamfan import errors
from streamfan.errors import StreamError, StreamfanError

MADE = {
    "MissingExtra": errors.MissingExtra("sink 'redis'", "redis", "redis"),
    "Retryable": errors.Retryable("away", after=2.0),
    "StreamFailed": errors.StreamFailed("s", "ValueError", "no"),
    "StreamNotFound": errors.StreamNotFound("there is none", stream="s"),
    "ProducerLost": errors.ProducerLost("s", 5, 20.0),
    "HistoryTrimmed": errors.HistoryTrimmed("s", 5, 90),
    "Restarted": errors.Restarted("s", 7, 8),
}
KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StreamfanError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_that_was_pickled_or_copied_is_the_same(kind: type[StreamfanError]) -> None:
    error = MADE.get(kind.__name__) or kind("it said")
    error.add_note("and more")

    for again in (pickle.loads(pickle.dumps(error)), copy(error)):
        assert again is not error
        assert type(again) is kind
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, StreamError)], ids=lambda k: k.__name__)
def test_an_error_about_a_stream_says_about_which(kind: type[StreamError]) -> None:
    error = MADE.get(kind.__name__) or kind("it said", stream="s")

    assert isinstance(error, StreamError)
    assert error.stream == "s"
