from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamfan.redis.names import EntryId, Names, index

NUMBERS = st.integers(0, 2**64 - 1)


def test_the_keys_of_a_stream_share_a_slot_and_the_index_has_its_own() -> None:
    names = Names("app", "s")

    assert [names.log, names.live, names.attempt, names.lease] == [
        "app:{s}:log",
        "app:{s}:live",
        "app:{s}:attempt",
        "app:{s}:lease",
    ]
    assert index("app") == "app:streams"


@given(NUMBERS, NUMBERS)
def test_an_entry_id_survives_being_written_and_read(attempt: int, sequence: int) -> None:
    id = EntryId(attempt, sequence)

    assert EntryId.parse(str(id).encode()) == id


def test_an_attempt_counts_more_than_a_sequence() -> None:
    assert EntryId(2, 0) > EntryId(1, 10**9) > EntryId(1, 2)
