"""What docs/webhook.md says: its examples are what is sent, its code runs, and its tables are the sink's."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from streamfan.config import configure
from streamfan.events import End, Start, Text, decode, encode
from streamfan.options import LaneOptions
from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from streamfan.sinks.webhook.messages import message_id
from tests.support.chunks import STREAM, chunks
from tests.support.command import Shell
from tests.support.page import DOCS, blocks
from tests.support.page_receiver import PageReceiver
from tests.support.receiver import CERTIFICATES, Receiver
from tests.support.webhooks import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.webhooks import Make

PAGE = (DOCS / "webhook.md").read_text(encoding="utf-8")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_events_of_the_page_are_a_stream() -> None:
    start, first, second, end = (decode(line) for line in blocks("webhook.md", "json")[0].splitlines())

    assert isinstance(start, Start)
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    assert isinstance(end, End)
    data = (first.text + second.text).encode()
    assert (first.end, second.offset, second.end, end.offset) == (5, 5, len(data), len(data))
    assert end.sha256 == hashlib.sha256(data).hexdigest()
    assert (message_id(start), message_id(end)) == tuple(
        f"{first.stream}_{first.attempt}_{it}" for it in ("start", "end")
    )


def test_request_of_the_page_is_one_that_is_sent(receiver: Receiver, make: Make) -> None:
    head, _, body = blocks("webhook.md", "http")[0].rstrip().partition("\n\n")
    _, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    event = decode(body)

    sink = make(secret=KEY)
    sink.open(STREAM)
    sink.write(chunks("Hello")[0])

    sent = receiver.posted[-1]
    assert set(headers) == set(sent.headers) - {"content-length"}
    assert headers["content-type"] == sent.headers["content-type"]
    assert headers["webhook-id"] == message_id(event)
    assert list(json.loads(body)) == list(sent.event)
    assert encode(event).decode() == body
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert headers["webhook-signature"] == Webhook(KEY).sign(headers["webhook-id"], at, body)


def test_command_of_the_page_reaches_the_receiver_of_the_page(shell: Shell, tmp_path: Path) -> None:
    (command,) = blocks("webhook.md", "sh")
    printing, _, running = command.partition(" | ")
    text = shlex.split(printing)[1].encode().decode("unicode_escape")
    with PageReceiver(tmp_path) as receiver:
        words = shlex.split(running.replace("localhost:8000", f"localhost:{receiver.port}"))

        done = shell.run(*words[1:], text=text)

        assert done.code == 0, done
        assert "".join(receiver.texts) == "Once upon a time.\nThe end.\n"


def test_replay_repeats_ids_with_the_same_text_and_times_of_its_own(shell: Shell, receiver: Receiver) -> None:
    sending = ("-q", "-s", receiver.url, "-o", "webhook.lane.boundary=line")
    shell.stdin("one\ntwo\n", *sending, "-s", "file:a.jsonl", "-o", "file.format=jsonl")
    first = receiver.events
    shell.run("replay", "a.jsonl", *sending)

    second = receiver.events[len(first) :]

    ids = [posted.headers["webhook-id"] for posted in receiver.posted]
    assert ids[: len(first)] == ids[len(first) :]
    changed = {name for one, other in zip(first, second, strict=True) for name in one if one[name] != other[name]}
    assert changed <= {"time", "ttft", "duration"}
    assert "time" in changed
    assert "the same text under the same ids, but with times of its own" in PAGE


def test_verification_of_the_page_tells_genuine_requests(receiver: Receiver, make: Make) -> None:
    names: dict[str, Any] = {}
    (code,) = (block for block in blocks("webhook.md", "python") if "is_genuine" in block)
    exec(compile(code, "webhook.md", "exec"), names)
    make(secret=KEY).open(STREAM)

    (posted,) = receiver.posted
    assert names["is_genuine"](posted.body, posted.headers, KEY)
    assert not names["is_genuine"](posted.body + b" ", posted.headers, KEY)
    assert not names["is_genuine"](posted.body, {}, KEY)


def test_configuration_of_the_page_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("webhook.md", "toml")
    for name, value in {"HOOK_SECRET": KEY, "HOOK_TOKEN": "t0ken", "KEY_PASSWORD": "correct horse"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    files = {
        "old-secret": KEY + "\n",
        "api-key": "key\n",
        "authority.pem": (CERTIFICATES / "authority.pem").read_text(),
        "client.crt": (CERTIFICATES / "client.crt").read_text(),
        "client.key": (CERTIFICATES / "locked.key").read_text(),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "streamfan.toml").write_text(block, encoding="utf-8")

    configured = configure(config=str(tmp_path / "streamfan.toml"), environ={})

    (hook,) = (sink for sink in configured.sinks if sink.id == "hook")
    assert isinstance(hook.sink.options, WebhookOptions)
    assert hook.sink.options.public_only
    assert hook.lane.boundary == "sentence"


def test_options_of_the_page_are_all_that_there_are() -> None:
    (block,) = blocks("webhook.md", "toml")

    unmentioned = [name for name in WebhookOptions.model_fields if f"{name} = " not in block]

    assert unmentioned == ["token_ids"]
    assert "`token_ids = true`" in PAGE


def test_example_of_a_key_is_one() -> None:
    command = PAGE.partition("Make a key with `")[2].partition("`")[0]

    key = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()

    assert WebhookOptions.model_validate({"secret": key}).secrets == (key,)


def test_limits_of_the_page_are_those_of_the_lane() -> None:
    lane = LaneOptions().over(WebhookSink.lane_defaults)

    assert (lane.max_bytes, lane.linger, lane.max_elapsed) == (16 * 1024, 0.1, 60.0)
    assert "below 16 KiB" in PAGE
    assert '`linger = "100ms"`' in PAGE
    assert "`lane.max_elapsed` (60 s)" in PAGE
