"""Whether a server will do, and what a user may do there: found out before a generation is spent on it.

Every command that a stream will need is sent once, in a way that stores nothing and takes nothing away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan.errors import Permanent
from streamfan.redis.batch import Batch, accept
from streamfan.redis.errors import OtherType
from streamfan.redis.names import Names, index

if TYPE_CHECKING:
    from streamfan.redis.batch import Answers
    from streamfan.redis.connection import Command, Connection
    from streamfan.sinks.redis.options import RedisOptions

# No stream can be called so.
_NOBODY = "-"
# The first channel that the user may not publish on. A server before 7.0 cannot say, and forbids none unless told to.
_FORBIDDEN = """
for _, channel in ipairs(ARGV) do
  if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', channel, '') then return channel end
end
return false
"""


class Preflight:
    """All that a stream will ask of a server, for a stream that there is not.

    Attributes:
        key: Where the stream would be.
    """

    def __init__(self, options: RedisOptions) -> None:
        self._options = options
        self._names = Names(options.prefix, _NOBODY)
        self.key = self._names.log

    @property
    def keeping(self) -> Batch:
        """What is asked of the server that has the stream."""
        batch = Batch()
        # Some of it will have to be done together.
        batch.add_together(self._commands, _granted)
        return batch

    @property
    def listing(self) -> Batch:
        """What is asked of the server that has the index."""
        key = index(self._options.prefix)
        batch = Batch()
        batch.add((("ZADD", key, "XX", 0, _NOBODY), ("ZREMRANGEBYRANK", key, 1, 0)), _granted)
        return batch

    @property
    def _commands(self) -> tuple[Command, ...]:
        names, options = self._names, self._options
        return (
            ("XADD", names.log, "NOMKSTREAM", "*", "event", ""),
            ("XADD", names.attempt, "NOMKSTREAM", "*", "writer", ""),
            ("XREVRANGE", names.attempt, "+", "-", "COUNT", 1),
            ("XRANGE", names.log, "0-1", "0-1"),
            # Only where there is one.
            ("SET", names.lease, "", "XX", "PX", 1),
            ("GET", names.lease),
            ("GET", names.cancel),
            ("PEXPIRE", names.log, 1),
            ("PEXPIRE", names.attempt, 1),
            ("DEL", names.lease, names.cancel),
            *([] if options.history_bytes is None else [("XTRIM", names.log, "MINID", "~", "0-1")]),
            *([("WAIT", 0, 1)] if options.wait_replicas else []),
        )

    def check_channels(self, connection: Connection) -> None:
        """Find out whether the user may publish, where the server can tell without doing it.

        Raises:
            Permanent: The user may not.
        """
        channels = (self._names.live, index(self._options.prefix))
        forbidden = connection.command("EVAL", _FORBIDDEN, 0, *channels) if connection.scripts else None
        if forbidden is not None:
            raise Permanent(
                f"Redis at {connection.address}: the user may not publish on channel {forbidden.decode()!r}\n"
                f"Try: ACL SETUSER NAME &{self._options.prefix}:*, or the option mode=log"
            )


def _granted(answers: Answers) -> None:
    # Who is told that a key has another type may use it; what somebody has put there is no stream's affair.
    accept([answer for answer in answers if not isinstance(answer, OtherType)])
