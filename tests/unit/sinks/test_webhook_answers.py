"""What a receiver's answer means for the text that was sent to it."""

from __future__ import annotations

import pytest

from streamfan.errors import Permanent, Retryable
from streamfan.sinks.webhook.answers import Answer, Gone, Moved, judge

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
