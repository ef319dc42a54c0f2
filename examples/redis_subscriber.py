"""Read a stream from Redis, from its start and then live, with redis-py alone: no streamfan.

The log holds everything, so it is all that is read: history and news are the same command, and a position in the log
is all there is to remember. What the names and events mean is told in docs/redis.md.

    python examples/redis_subscriber.py STREAM [URL]
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

# Shorter than the client's own patience, which is five seconds.
BLOCK = 2.0


def follow(client: Any, stream: str, prefix: str = "streamfan") -> Iterator[str]:
    """Yield the text of a stream until it has ended; raises if any of it is missing, or nobody will write the rest."""
    key = f"{prefix}:{{{stream}}}"
    newest = client.xrevrange(f"{key}:log", count=1)
    if not newest:
        raise LookupError(f"there is no stream {stream!r}")
    attempt = int(newest[0][0].partition("-")[0])
    last, position, digest, quiet = f"{attempt}-0", 0, hashlib.sha256(), 0.0
    while True:
        answer = client.xread({f"{key}:log": last}, count=100, block=int(BLOCK * 1000))
        for last, fields in answer[0][1] if answer else ():  # noqa: B007 - where the next read goes on
            event = json.loads(fields["event"])
            if event["v"] != 1 or event["attempt"] != attempt or event["offset"] > position:
                raise RuntimeError(f"after {position} bytes comes something else: {event}")
            if event["type"] == "end":
                if (event["offset"], event["sha256"]) != (position, digest.hexdigest()):
                    raise RuntimeError("this is not the text that was written")
                if event["error"]:
                    raise RuntimeError(f"the producer failed: {event['error']['message']}")
                return
            data = event["text"].encode()[position - event["offset"] :]
            digest.update(data)
            position = event["end"]
            yield data.decode()
        # Only time in which Redis has answered counts: a server that was away keeps producers from renewing, too.
        quiet = 0.0 if answer or client.exists(f"{key}:lease") else quiet + BLOCK
        if quiet and quiet > lease_time(client, key):
            raise RuntimeError(f"the producer is lost after {position} bytes")


def lease_time(client: Any, key: str) -> float:
    """Seconds within which the producer has to show that it lives."""
    entries = client.xrevrange(f"{key}:attempt", count=1)
    return float(entries[0][1].get("lease", 20)) if entries else 20.0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    stream, *more = sys.argv[1:]
    url = more[0] if more else os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    # A server that restarts is asked again for about half a minute: what is asked here may be asked twice.
    retry = Retry(ConstantBackoff(1), 30)
    with redis.Redis.from_url(url, decode_responses=True, retry=retry) as client:
        try:
            for text in follow(client, stream):
                print(text, end="", flush=True)
        except (LookupError, RuntimeError, redis.RedisError) as error:
            sys.exit(f"\n{error}")
