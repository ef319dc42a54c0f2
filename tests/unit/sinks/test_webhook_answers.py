"""What a receiver's answer means for the text that was sent to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamfan.errors import Permanent, Retryable
from streamfan.sinks.webhook.answers import LONGEST_WAIT, Answer, Gone, Moved, judge, wait_asked_for

URL = "https://example.com/hook"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_any_status_of_the_200s(status: int) -> None:
    judge(Answer(status), URL)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 520, 599])
def test_status_that_may_pass_is_retried(status: int) -> None:
    with pytest.raises(Retryable, match=str(status)):
        judge(Answer(status), URL)


@pytest.mark.parametrize(
    "status", [101, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 413, 422, 501, 600]
)
def test_status_that_will_not_pass_is_permanent(status: int) -> None:
    with pytest.raises(Permanent, match=f"{URL} answered {status}"):
        judge(Answer(status), URL)


def test_gone_is_told_from_other_permanent_answers() -> None:
    with pytest.raises(Gone, match="410 Gone"):
        judge(Answer(410), URL)


def test_error_quotes_the_receiver_harmlessly_and_in_short() -> None:
    with pytest.raises(Permanent) as refused:
        judge(Answer(404, excerpt=b"no \x1b[2J such\r\nhook \xff" + b"x" * 10_000), URL)

    assert f"{URL} answered 404 Not Found: 'no \\x1b[2J such\\r\\nhook �xxx" in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_redirect_says_where_to_without_the_query() -> None:
    answer = Answer(308, {"location": "https://example.com/new?token=hunter2"})

    with pytest.raises(Permanent, match=r"towards 'https://example\.com/new'; redirects are not followed") as refused:
        judge(answer, URL)

    assert "hunter2" not in str(refused.value)


def test_secret_that_begins_like_another_hides_all_of_both() -> None:
    said = Answer(400, {"x": "letmein-again"}, b"letmein letmein-again").without(["letmein", "letmein-again", "x"])

    assert (said.excerpt, said.headers) == (b"*** ***", {"x": "***"})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("999999999", LONGEST_WAIT),
        ("Fri, 31 Dec 2199 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 31 Dec 2199 23:59:59 -0000", LONGEST_WAIT),
        (None, None),
        ("", None),
        ("-7", None),
        ("7.5", None),
        ("٧", None),
        ("9" * 5000, None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Fri, 99 Dec 2199 99:99:99 GMT", None),
        ("Fri, 31 Dec 2199 23:59:59 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read_or_ignored(header: str | None, seconds: float | None) -> None:
    assert wait_asked_for({} if header is None else {"retry-after": header}) == seconds


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+]?\w+")))
def test_no_retry_after_is_an_error_or_a_wait_without_end(header: str) -> None:
    wait = wait_asked_for({"retry-after": header})

    assert wait is None or 0 <= wait <= LONGEST_WAIT


def test_retry_after_with_a_date_is_the_time_left_until_then() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)

    wait = wait_asked_for({"retry-after": date})

    assert wait is not None
    assert 0 < wait <= 1800


@pytest.mark.parametrize("wrong_by", [timedelta(days=-400), timedelta(seconds=-90), timedelta(hours=5)])
def test_retry_after_does_not_depend_on_the_receivers_clock(wrong_by: timedelta) -> None:
    there = datetime.now(UTC) + wrong_by
    until = format_datetime(there + timedelta(seconds=60), usegmt=True)

    wait = wait_asked_for({"retry-after": until, "date": format_datetime(there, usegmt=True)})

    assert wait == 60.0


def test_date_that_cannot_be_read_leaves_our_own_clock() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)

    wait = wait_asked_for({"retry-after": until, "date": "yesterday"})

    assert wait is not None
    assert 0 < wait <= 1800


@pytest.mark.parametrize(("header", "held"), [("0", 0), (" 12 ", 12), ("0012", 12)])
def test_conflict_with_an_offset_says_how_much_is_held(header: str, held: int) -> None:
    with pytest.raises(Moved, match="409 Conflict, with Streamfan-Offset") as moved:
        judge(Answer(409, {"streamfan-offset": header}), URL)

    assert moved.value.held == held


def test_offset_beside_a_success_changes_nothing() -> None:
    judge(Answer(200, {"streamfan-offset": "12"}), URL)


@pytest.mark.parametrize("status", [400, 404, 412, 422])
def test_offset_beside_any_other_refusal_moves_nothing(status: int) -> None:
    with pytest.raises(Permanent):
        judge(Answer(status, {"streamfan-offset": "12"}), URL)


@pytest.mark.parametrize("said", [r"s3cr3t\/tok\"en", r"s3cr3t/tok\"en", "s3cr3t/tok%22en", "s3cr3t%2Ftok%22en"])
def test_secret_that_is_repeated_in_another_way_of_writing_is_hidden_too(said: str) -> None:
    assert "tok" not in str(Answer(403, {}, said.encode()).without(['s3cr3t/tok"en']))
