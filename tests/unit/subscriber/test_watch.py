"""When a producer counts as lost, and when a stream is looked at next; times are what a test says they are."""

from __future__ import annotations

import pytest

from streamfan.errors import ProducerLost, ServerUnreachable, StreamNotFound
from streamfan.events import Event
from streamfan.redis.lease import Lease
from streamfan.redis.names import EntryId, Names
from streamfan.subscriber.mailbox import Mailbox
from streamfan.subscriber.reader import Phase, Reader
from streamfan.subscriber.watch import Look, Watch
from tests.support.wire_events import ATTEMPT, STREAM, page, start, taken, text

LEASE_TIME = 20.0
LAST = EntryId(ATTEMPT, 5)


def look(
    *, remaining: float | None = None, last: EntryId | None = LAST, ended: bool = False, live: bool = True
) -> Look:
    """What the server holds; with a lease where it has time left."""
    lease = None if remaining is None else Lease(attempt=ATTEMPT, writer="w", seconds=LEASE_TIME, live=live)
    return Look(lease, remaining or 0.0, LEASE_TIME, last, ended)


def reader(watch: Watch, *, now: float = 0.0) -> Reader:
    """A reader that has read five bytes, and listens."""
    made = Reader(STREAM, 0, Mailbox(lambda: None))
    watch.add(made, now)
    made.resume(0.0)
    made.found(ATTEMPT)
    made.take_page(page([start(), text(0, "Hello")]), last=True)
    taken(made)
    return made


def told(made: Reader) -> list[str]:
    return [type(error).__name__ for error in taken(made)]


@pytest.fixture
def watch() -> Watch:
    return Watch(Names("streamfan", STREAM))


# Whether the producer is lost


def test_a_producer_that_shows_that_it_lives_is_not_lost(watch: Watch) -> None:
    made = reader(watch)

    for now in range(0, 1000, 2):
        watch.look(look(remaining=15), now=now, contact=0.0)

    assert told(made) == []


def test_a_producer_is_lost_when_its_lease_has_run_out_and_not_before(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(remaining=15), now=100.0, contact=0.0)
    watch.look(look(), now=114.9, contact=0.0)
    before = told(made)
    watch.look(look(), now=115.0, contact=0.0)

    (error,) = taken(made)
    assert before == []
    assert isinstance(error, ProducerLost)
    assert (error.stream, error.offset, error.lease) == (STREAM, 5, LEASE_TIME)


def test_it_is_looked_at_as_soon_as_the_lease_may_have_run_out(watch: Watch) -> None:
    reader(watch)

    watch.look(look(remaining=0.5), now=100.0, contact=0.0)

    assert 100.5 < watch.look_at <= 100.7


@pytest.mark.parametrize("contact", [0.0, 100.0])
def test_a_lease_that_is_absent_at_first_has_its_time_from_when_somebody_reads(watch: Watch, contact: float) -> None:
    made = reader(watch, now=100.0)

    watch.look(look(), now=100.0, contact=contact)
    watch.look(look(), now=119.9, contact=contact)
    before = told(made)
    watch.look(look(), now=120.0, contact=contact)

    assert (before, told(made)) == ([], ["ProducerLost"])


def test_a_lease_that_was_seen_to_run_out_has_no_other_time(watch: Watch) -> None:
    made = reader(watch, now=100.0)

    watch.look(look(remaining=2), now=100.0, contact=100.0)
    watch.look(look(), now=101.9, contact=100.0)
    before = told(made)
    watch.look(look(), now=102.0, contact=100.0)

    assert (before, told(made)) == ([], ["ProducerLost"])


def test_a_server_that_was_away_gives_the_producer_its_time_again(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(remaining=15), now=100.0, contact=0.0)
    watch.look(look(), now=200.0, contact=199.0)
    watch.look(look(), now=218.9, contact=199.0)
    before = told(made)
    watch.look(look(), now=219.0, contact=199.0)

    assert (before, told(made)) == ([], ["ProducerLost"])


def test_a_producer_that_comes_back_in_time_is_not_lost(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(remaining=1), now=100.0, contact=0.0)
    watch.look(look(), now=100.5, contact=0.0)
    watch.look(look(remaining=20), now=100.9, contact=0.0)
    watch.look(look(), now=119.0, contact=0.0)

    assert told(made) == []


def test_whoever_takes_reading_up_again_gives_a_lost_producer_its_time(watch: Watch) -> None:
    made = reader(watch)
    watch.look(look(remaining=1), now=100.0, contact=0.0)
    watch.look(look(), now=101.0, contact=0.0)
    first = told(made)
    watch.readers.clear()

    again = reader(watch, now=150.0)
    watch.look(look(), now=150.0, contact=0.0)
    watch.look(look(), now=169.9, contact=0.0)
    before = told(again)
    watch.look(look(), now=170.0, contact=0.0)

    assert (first, before, told(again)) == (["ProducerLost"], [], ["ProducerLost"])


def test_a_stream_that_has_ended_has_lost_nobody(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(ended=True, last=EntryId(ATTEMPT, 6)), now=1000.0, contact=0.0)

    assert told(made) == []
    assert made.phase is Phase.CATCHING_UP


def test_the_end_of_an_older_attempt_hides_no_lost_producer(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(ended=True, last=EntryId(ATTEMPT - 1, 900)), now=1000.0, contact=990.0)
    before = told(made)
    watch.look(look(ended=True, last=EntryId(ATTEMPT - 1, 900)), now=1010.0, contact=990.0)

    assert (before, told(made)) == ([], ["ProducerLost"])


def test_what_the_log_still_has_comes_before_the_loss_of_its_producer(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(last=EntryId(ATTEMPT, 9)), now=1000.0, contact=0.0)

    assert told(made) == []
    assert made.phase is Phase.CATCHING_UP


def test_a_log_that_is_gone_without_its_producer_has_vanished(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(last=None), now=1000.0, contact=0.0)

    (error,) = taken(made)
    assert isinstance(error, StreamNotFound)
    assert (str(error), error.stream) == ("stream 's' has vanished after 5 bytes", STREAM)


def test_a_log_that_is_gone_while_its_producer_lives_is_waited_for(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(remaining=15, last=None), now=1000.0, contact=0.0)

    assert told(made) == []


# When to look


def test_a_stream_of_which_nothing_is_heard_is_looked_at_every_two_seconds(watch: Watch) -> None:
    reader(watch)

    watch.hear(text(5, ", "), now=100.0)
    heard = watch.look_at
    watch.look(look(remaining=15), now=200.0, contact=0.0)

    assert (heard, watch.look_at) == (102.0, 202.0)


@pytest.mark.parametrize("event", [text(0, "Hello"), text(5, "old", 6), start()], ids=["repeated", "older", "start"])
def test_what_is_no_news_puts_no_look_off(watch: Watch, event: Event) -> None:
    reader(watch)
    watch.look(look(remaining=15), now=100.0, contact=0.0)

    watch.hear(event, now=101.0)

    assert watch.look_at == 102.0


def test_a_log_whose_producer_does_not_publish_is_looked_into_more_often_and_slower_while_it_does_not_grow(
    watch: Watch,
) -> None:
    made = reader(watch)
    now = 200.0
    pauses = []

    watch.look(look(remaining=15, live=False), now=now, contact=0.0)
    while watch.peeks:
        pauses.append(round(watch.look_at - now, 3))
        now = watch.look_at
        watch.peek(LAST, now)
    last = watch.look_at
    watch.look(look(remaining=15, live=False), now=last, contact=0.0)
    watch.peek(EntryId(ATTEMPT, 9), now=last)

    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert last == 202.0
    assert (round(watch.look_at - last, 3), made.phase) == (0.1, Phase.CATCHING_UP)


def test_who_joins_has_all_looked_at(watch: Watch) -> None:
    reader(watch)
    watch.look(look(remaining=15, live=False), now=200.0, contact=0.0)
    before = watch.peeks

    reader(watch)

    assert (before, watch.peeks, watch.look_at) == (True, False, 0.0)


def test_a_reader_that_takes_nothing_does_not_have_a_lost_producer_looked_at_without_pause(watch: Watch) -> None:
    made = reader(watch)
    made.phase = Phase.PAUSED

    watch.look(look(), now=1000.0, contact=0.0)

    assert (watch.look_at, made.phase) == (1002.0, Phase.PAUSED)


def test_what_is_read_before_a_loss_can_be_told_does_not_put_it_off_for_long(watch: Watch) -> None:
    made = reader(watch)

    watch.look(look(last=EntryId(ATTEMPT, 9)), now=1000.0, contact=0.0)

    assert made.phase is Phase.CATCHING_UP
    assert 1000.0 < watch.look_at <= 1000.2


def test_only_those_whose_patience_is_over_are_told_that_there_is_no_stream(watch: Watch) -> None:
    patient, other = (Reader(STREAM, 0, Mailbox(lambda: None)) for _ in range(2))
    for made, patience in ((patient, 110.0), (other, 100.0)):
        watch.add(made, 100.0)
        made.resume(patience)

    watch.not_found("redis://here", now=100.0)

    (error,) = taken(other)
    assert str(error) == "there is no stream 's' in Redis at redis://here"
    assert (taken(patient), patient.phase) == ([], Phase.SEEKING)
    assert 100.0 < watch.look_at <= 101.0


# Its readers


def test_what_the_channel_says_reaches_every_reader(watch: Watch) -> None:
    readers = [reader(watch), reader(watch)]

    needy = watch.hear(text(5, "!"), now=100.0)

    assert [taken(made) for made in readers] == [[text(5, "!")]] * 2
    assert not needy


def test_a_reader_that_has_missed_something_needs_the_log(watch: Watch) -> None:
    reader(watch)

    assert watch.hear(text(9, "!"), now=100.0)


def test_each_reader_raises_an_error_of_its_own(watch: Watch) -> None:
    readers = [reader(watch), reader(watch)]
    error = ServerUnreachable("away")

    watch.fail(error)

    first, second = (taken(made)[0] for made in readers)
    assert [repr(told) for told in (first, second)] == [repr(error)] * 2
    assert len({id(told) for told in (first, second, error)}) == 3


def test_a_lost_connection_means_that_nothing_is_listened_to(watch: Watch) -> None:
    made = reader(watch)
    watch.asked = watch.heard = True

    watch.deafen()

    assert (watch.asked, watch.heard, made.phase) == (False, False, Phase.CATCHING_UP)
