"""What people complain of in other tools that deliver to several places, and the tests that show what happens here.

A test is named by its file, from the folder of the tests on, and its name. The page of guarantees ends with these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Complaint:
    """One kind of complaint.

    Attributes:
        title: What happens.
        elsewhere: Reports of it, by repository and number.
        here: What is done instead.
        tests: What shows it, as `file::name`.
    """

    title: str
    elsewhere: str
    here: str
    tests: tuple[str, ...]


COMPLAINTS = (
    Complaint(
        "One bad sink stops all",
        "vector#22064, vector#20496, redpanda-data/connect#414, telegraf#3010, logstash-output-kafka#183",
        "Each sink has a thread and a place in the text of its own. None waits for another, and the model for none.",
        (
            "unit/test_fan.py::test_healthy_sinks_hold_every_byte_beside_a_slow_a_raising_and_a_hung_one",
            "unit/test_lane.py::test_failed_stream_does_not_fail_the_others_of_its_lane",
            "unit/test_lane.py::test_lane_serves_its_other_streams_while_one_waits_for_its_retry",
        ),
    ),
    Complaint(
        "Text is lost, and nobody is told",
        "telegraf#5536, vector#4601, vector#2950, vector#10870",
        "What a sink was not given is counted and named, by the last line, the report and the exit code; where that is "
        "asked for it is kept.",
        (
            "unit/test_lane.py::test_all_text_that_a_failed_sink_was_not_given_is_missing",
            "unit/test_lane.py::test_at_most_once_sink_never_gets_a_chunk_twice_and_the_loss_is_counted",
            "unit/sinks/test_file.py::test_text_whose_file_was_removed_meanwhile_is_not_called_complete",
            "unit/sinks/test_file_faults.py::test_file_that_closing_finds_incomplete_fails_its_stream",
            "cli/test_run.py::test_webhook_that_does_not_take_it_is_exit_code_3",
            "cli/test_replay.py::test_what_a_sink_was_not_given_is_kept_and_can_be_sent_later",
        ),
    ),
    Complaint(
        "The end hangs, or loses what was not delivered yet",
        "vector#9739, opentelemetry-python#2284, opentelemetry-python#4043, openai-agents-python#3354, litellm#16486, "
        "sentry-python#2983",
        "One deadline for all sinks together. A program that closes nothing delivers all the same, a forked one too.",
        (
            "unit/test_fan.py::test_close_timeout_holds_for_all_sinks_together",
            "integration/test_lifetime.py::test_fan_that_nobody_closed_delivers_at_exit",
            "integration/test_lifetime.py::test_hung_sink_does_not_keep_the_interpreter_alive_and_is_told_of_last",
            "integration/test_lifetime.py::test_workers_of_a_prefork_server_have_fans_of_their_own",
            "cli/test_shutdown.py::test_all_the_time_after_a_signal_is_used_and_no_more",
            "cli/test_shutdown.py::test_what_is_not_delivered_is_kept_also_after_a_second_signal",
        ),
    ),
    Complaint(
        "Whoever publishes is blocked, or locked up for ever",
        "loguru#958, loguru#1065, loguru#1419, litellm#1519, agentuniverse#1004",
        "Writing appends and returns. Only `when_full = block` waits, and that for no longer than it is told.",
        (
            "unit/test_fan.py::test_writing_returns_while_every_sink_is_blocked",
            "unit/test_dispatcher.py::test_what_a_publisher_does_is_the_same_for_any_number_of_consumers",
            "unit/test_backlog.py::test_hung_sink_that_is_too_far_behind_is_given_up_and_says_how_far_and_why",
            "unit/test_backlog.py::test_publisher_does_not_wait_for_ever_for_a_hung_sink",
            "unit/test_backlog.py::test_sink_that_publishes_does_not_wait_for_itself",
            "integration/test_lifetime.py::test_fork_while_another_thread_writes_does_not_lock_up_the_child",
        ),
    ),
    Complaint(
        "Retries overtake one another",
        "vector#8211, livekit/protocol#345",
        "One call at a time for each sink and stream: what comes later waits until the earlier piece is there.",
        (
            "unit/test_lane.py::test_retry_has_the_same_offset_and_the_same_bytes",
            "unit/test_lane.py::test_calls_come_in_order",
            "integration/webhook/test_lanes.py::test_many_streams_in_one_lane_keep_their_order_and_lose_nothing",
        ),
    ),
    Complaint(
        "Errors are swallowed",
        "langchain#8051",
        "An error of a sink is in the report and the exit code, one of the model reaches whoever reads the text.",
        (
            "unit/test_fan.py::test_each_change_of_state_is_logged_once",
            "unit/test_fan.py::test_callback_that_raises_disturbs_nobody",
            "cli/test_run.py::test_full_disk_fails_that_sink_alone_and_what_it_lacks_is_told",
            "integration/test_generation.py::test_error_of_the_model_ends_the_streams_and_is_raised_by_result",
        ),
    ),
    Complaint(
        "A failure of one sink sends everything twice to the others",
        "parsedmarc#823",
        "How far a sink has come, and what is tried again, is its own affair.",
        ("unit/test_fan.py::test_what_one_sink_is_given_again_comes_to_no_other",),
    ),
    Complaint(
        "What was kept on the disk is stuck or corrupt after a restart",
        "vector#18336, vector#19155, vector#26035, vector#26198",
        "There is no queue on the disk. What is kept are recordings, one a stream, that can be read, sent and removed "
        "by hand; a damaged line costs its own stream and no other, and a killed program is no obstacle to the next.",
        (
            "unit/test_spill.py::test_half_a_recording_that_a_killed_program_has_left_is_no_recording",
            "unit/sources/test_recording.py::test_damaged_line_is_named_and_what_follows_a_hole_is_not_published",
            "unit/sinks/test_file_events.py::test_line_that_a_crash_left_unfinished_spoils_no_other",
            "integration/file/test_killed.py::test_nothing_is_lost_and_nothing_doubled_by_fifty_kills",
            "integration/test_killed_replays.py::test_file_of_events_survives_kills_of_its_replays",
        ),
    ),
)


def section() -> list[str]:
    """The last section of the page, line by line."""
    lines = [
        "## What people complain of elsewhere",
        "",
        "Reports from users of other tools that deliver to several places, and the tests of what happens here.",
    ]
    for complaint in COMPLAINTS:
        lines += ["", f"**{complaint.title}** ({complaint.elsewhere}). {complaint.here}", ""]
        lines += [_item(test) for test in complaint.tests]
    return lines


def _item(test: str) -> str:
    path, _, name = test.partition("::")
    words = name.removeprefix("test_").replace("_", " ")
    return f"- {words[0].upper()}{words[1:]}: [{path}](../tests/{path})"


def missing() -> list[str]:
    """The tests that are named and do not exist."""
    return [test for complaint in COMPLAINTS for test in complaint.tests if not _exists(*test.split("::"))]


def _exists(path: str, name: str) -> bool:
    file = TESTS / path
    return file.exists() and any(
        line.startswith(f"def {name}(") for line in file.read_text(encoding="utf-8").splitlines()
    )
