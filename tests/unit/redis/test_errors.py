from __future__ import annotations

import pytest
from redis.connection import DefaultParser

from streamfan.errors import Permanent, Retryable, SinkError
from streamfan.redis.address import Address
from streamfan.redis.errors import Elsewhere, Moved, Refused, sorted_error

ADDRESS = Address("redis://:secret@host/0")


def sort(answer: str) -> SinkError:
    return sorted_error(DefaultParser.parse_error(answer), ADDRESS)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("LOADING Redis is loading the dataset in memory", Retryable),
        ("BUSY Redis is busy running a script", Retryable),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk",
            Retryable,
        ),
        ("NOREPLICAS Not enough good replicas to write.", Retryable),
        ("READONLY You can't write against a read only replica.", Elsewhere),
        ("OOM command not allowed when used memory > 'maxmemory'.", Retryable),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Retryable),
        ("CLUSTERDOWN Hash slot not served", Elsewhere),
        ("MOVED 3999 127.0.0.1:6381", Moved),
        ("ASK 3999 127.0.0.1:6381", Retryable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Retryable),
        ("CROSSSLOT Keys in request don't hash to the same slot", Refused),
        ("ERR max number of clients reached", Retryable),
        ("WRONGPASS invalid username-password pair or user is disabled.", Permanent),
        ("NOAUTH Authentication required.", Permanent),
        ("NOPERM this user has no permissions to access one of the keys", Refused),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", Refused),
        ("ERR unknown command 'AUTH', with args beginning with: 'secret' ", Refused),
    ],
)
def test_answer_says_whether_another_try_may_help(answer: str, kind: type[SinkError]) -> None:
    error = sort(answer)

    assert isinstance(error, kind)
    assert str(error).startswith("Redis at redis://***@host/0: ")
    assert "secret" not in str(error)


def test_where_a_slot_is_now_is_said() -> None:
    assert str(sort("MOVED 3999 10.0.0.7:6381")) == "Redis at redis://***@host/0: slot 3999 is at 10.0.0.7:6381 now"
