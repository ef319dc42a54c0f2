"""One attempt at a stream in Redis: whose the stream is, its sign of life, and its log, over one connection."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from streamfan.events import End, Start
from streamfan.redis.batch import Batch
from streamfan.sinks.redis.log import Log
from streamfan.sinks.redis.owner import was_later

if TYPE_CHECKING:
    from streamfan.events import Event, StreamInfo, Text
    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Connection
    from streamfan.redis.names import Names
    from streamfan.sinks.redis.options import RedisOptions
    from streamfan.sinks.redis.presence import Presence


class Producer:
    """The one writer of a stream, for as long as `connection` lives.

    What goes wrong is a `SinkError`: `Permanent` where another writer has taken over. A `WireError` is raised where
    somebody else has written into the log what is no event.

    Attributes:
        connection: To the server that has the stream.
    """

    def __init__(
        self, connection: Connection, names: Names, stream: StreamInfo, presence: Presence, options: RedisOptions
    ) -> None:
        self.connection = connection
        self._stream = stream
        self._presence = presence
        self._log = Log(connection, names, presence, options)

    @property
    def usable(self) -> bool:
        """Whether it was opened, and what was learnt then still holds."""
        return self._log.usable and self.connection.alive

    def open(self, beside: Batch) -> Event:
        """Take the stream over from older attempts, and return the last event of this attempt: at least its start.

        Takes two round trips.

        Args:
            beside: What else to send when that is done.
        """
        presence, begun = self._presence, monotonic()
        questions = presence.questions
        answers = self.connection.answers(*questions, *self._log.questions)
        claimed = presence.hear(answers[: len(questions)])
        last = self._log.find(answers[len(questions) :])
        presence.ended = isinstance(last, End)
        opening = Batch()
        if not claimed:
            opening.add_together(presence.claim.commands, self._claimed)
        if not presence.ended:
            # The lease is there before the log: a log with neither lease nor end is that of a producer that was lost.
            renewal = presence.renewal(scripts=self.connection.scripts)
            opening.add(renewal, partial(presence.renewed, begun))
        start = Start.of(self._stream)
        if last is None:
            self._log.put(start, opening)
        opening.join(beside)
        opening.send(self.connection)
        self._log.usable = True
        return last or start

    def append(self, event: Text) -> None:
        """Append `event`, once, and then publish it."""
        writing = Batch()
        self._log.put(event, writing)
        writing.send(self.connection)

    def rest_of(self, event: Text, found: int) -> Text:
        """Compare the beginning of `event` with the log, which has the text up to `found`; returns what it lacks."""
        data, length = event.text.encode(), found - event.offset
        # Where that is inside a character the log has another text, and says so.
        self.append(replace(event, end=found, text=data[:length].decode(errors="replace"), token_ids=()))
        ids = event.token_ids[max(0, self._log.ids_ahead) :]
        return replace(event, offset=found, text=data[length:].decode(), token_ids=ids)

    def close(self, end: End, beside: Batch) -> None:
        """Append the end, once, publish it, and stop to be there.

        Takes two round trips.

        Args:
            beside: What else to send when the log has its end.
        """
        closing, leaving = Batch(), Batch()
        self._log.conclude(end, closing)
        leave = partial(self._presence.leave, scripts=self.connection.scripts)
        closing.add(self._presence.farewell, lambda answers: leaving.add(leave(answers)))
        closing.send(self.connection)
        leaving.join(beside)
        leaving.send(self.connection)

    def _claimed(self, answers: Answers) -> None:
        if not was_later(answers):
            # Somebody was quicker: perhaps another sink of this program, with the same claim.
            self._presence.claim.check(self.connection.command(*self._presence.claim.question))
