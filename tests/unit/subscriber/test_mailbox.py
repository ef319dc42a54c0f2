"""What was read for a subscriber and not taken yet."""

from __future__ import annotations

import threading

from streamfan.errors import StreamNotFound
from streamfan.subscriber.mailbox import Mailbox
from tests.support.wire_events import end, start, text


def test_what_was_put_is_taken_once_and_in_order() -> None:
    mailbox = Mailbox(lambda: None)
    error = StreamNotFound()

    for item in (start(), text(0, "Hello"), error):
        mailbox.put(item)

    assert mailbox.take() == ([start(), text(0, "Hello"), error], False)
    assert mailbox.take() == ([], False)


def test_each_item_is_news_once_it_is_there() -> None:
    found: list[object] = []
    mailbox = Mailbox(lambda: found.append(mailbox.take()[0]))

    mailbox.put(start())
    mailbox.put(end(""))

    assert found == [[start()], [end("")]]


def test_it_is_full_of_text_and_has_room_when_that_is_taken() -> None:
    mailbox = Mailbox(lambda: None)

    states = []
    for offset in (0, 600_000):
        mailbox.put(text(offset, "x" * 600_000))
        states.append(mailbox.full)
    mailbox.take()

    assert [*states, mailbox.full] == [False, True, False]


def test_who_takes_is_told_whether_somebody_waits_for_room() -> None:
    mailbox = Mailbox(lambda: None)
    mailbox.put(text(0, "x" * 2_000_000))

    unseen = mailbox.take()[1]
    mailbox.put(text(0, "x" * 2_000_000))
    seen = (mailbox.full, mailbox.take()[1])

    assert (unseen, seen, mailbox.take()[1]) == (False, (True, True), False)


def test_text_counts_in_bytes() -> None:
    mailbox = Mailbox(lambda: None)

    mailbox.put(text(0, "狐" * 400_000))

    assert mailbox.full


def test_it_is_full_of_small_events_too() -> None:
    mailbox = Mailbox(lambda: None)

    for offset in range(10_000):
        mailbox.put(text(offset, "x"))

    assert mailbox.full


def test_it_is_full_of_token_ids_too() -> None:
    mailbox = Mailbox(lambda: None)

    mailbox.put(text(0, "x", token_ids=(1,) * 200_000))

    assert mailbox.full


def test_nothing_is_lost_between_two_threads() -> None:
    mailbox = Mailbox(lambda: None)
    items = [text(offset, "x") for offset in range(5000)]
    taken: list[object] = []

    def put_all() -> None:
        for item in items:
            mailbox.put(item)

    putting = threading.Thread(target=put_all)

    putting.start()
    while len(taken) < len(items):
        taken += mailbox.take()[0]
    putting.join()

    assert taken == items
