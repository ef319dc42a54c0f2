"""The openai source against a real HTTP server that plays the dialects of others, and their failures."""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamfan import Callback, Fan
from streamfan.errors import MissingExtra, SpecError, UsageError
from streamfan.events import End, Event
from streamfan.plugins import plugins
from streamfan.source import Message, Request
from streamfan.sources.openai import OpenAISource, ServerOptions
from tests.support.dialects import DIALECT_TEXT, DIALECTS, DONE, HOSTILE, chat, chunk, event
from tests.support.garbage import GARBAGE
from tests.support.model_server import dropped, held, streamed, until_closed
from tests.support.opener import MemoryFan
from tests.support.receiver import PATIENCE, Receiver, answer, endless, hang_up, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.stream import Stream
    from tests.support.receiver import Reply

HELLO = chat("Hel", "lo")
BEGUN = chat("Hel", finish=None, done=False)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def base(server: Receiver) -> str:
    return f"http://127.0.0.1:{server.port}"


def asked(
    server: Receiver, *replies: Reply, request: Request | None = None, url: str | None = None, **options: Any
) -> list[Stream]:
    """All streams of one run, which the server answers like this."""
    server.script(*replies)
    request = request or Request(prompt="hi")
    source = OpenAISource(url or base(server), ServerOptions(**options))
    with MemoryFan() as fan:
        source.load(request)
        source.run(cast("Fan", fan), request)
        return fan.opened


def one(streams: list[Stream]) -> tuple[str, End]:
    """The text and the end of the only stream."""
    (stream,) = streams
    assert stream.outcome is not None
    return stream.text, stream.outcome


def error_of(end: End) -> str:
    assert end.error is not None
    return end.error.message


def test_source_is_found_by_its_name() -> None:
    assert plugins().source("openai") is OpenAISource


# What is asked


def test_only_what_was_said_is_asked_for(server: Receiver) -> None:
    asked(server, streamed(HELLO))

    (posted,) = server.posted
    assert (posted.method, posted.path) == ("POST", "/v1/chat/completions")
    assert posted.event == {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert "authorization" not in posted.headers


def test_everything_that_was_said_is_asked_for(server: Receiver) -> None:
    request = Request(prompt="hi", model="m", max_new_tokens=5, temperature=0.0, seed=3, stop=("a", "b"), chat=True)

    asked(server, streamed(HELLO), request=request, system="be kind", usage=True, body={"top_p": 0.5})

    assert server.posted[0].event == {
        "model": "m",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": 3,
        "stop": ["a", "b"],
        "stream_options": {"include_usage": True},
        "top_p": 0.5,
        "stream": True,
    }


def test_prompt_that_is_no_message_is_completed(server: Receiver) -> None:
    body = event({"choices": [{"text": "Hel"}]}) + event({"choices": [{"text": "lo", "finish_reason": "length"}]})

    text, end = one(asked(server, streamed(body + DONE), request=Request(prompt="Once", chat=False)))

    assert (text, end.finish_reason) == ("Hello", "length")
    assert (server.posted[0].path, server.posted[0].event) == ("/v1/completions", {"prompt": "Once", "stream": True})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/api/paas/v4", "/api/paas/v4/chat/completions"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
        ("/proxy?team=a", "/proxy/v1/chat/completions?team=a"),
    ],
)
def test_base_url_may_have_its_version_or_not(server: Receiver, path: str, expected: str) -> None:
    asked(server, streamed(HELLO), url=base(server) + path)

    assert server.posted[0].path == expected


def test_server_of_the_environment_is_asked(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", base(server) + "/v1")
    server.script(streamed(HELLO))

    source = OpenAISource()
    with MemoryFan() as fan:
        source.load(Request(prompt="hi"))
        source.run(cast("Fan", fan), Request(prompt="hi"))

    assert fan.opened[0].text == "Hello"
    assert source.label == base(server) + "/v1"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://localhost",
        "http://",
        "http://u:secret@localhost",
        "http://h/#secret",
        "http://h:0",
        "http://h:x",
        "http://h/ secret",
        "http://[::1",
        "http://secret..de",
        f"http://{'secret' * 20}",
    ],
)
def test_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SpecError, match="its URL") as caught:
        OpenAISource(url)

    assert "secret" not in str(caught.value)


def test_host_that_only_the_client_knows_to_be_none_is_refused() -> None:
    with pytest.raises(UsageError, match="Invalid IPv4 address"):
        OpenAISource("http://256.1.1.1").load(Request(prompt="hi"))


def test_no_server_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs the URL of a server\nTry: .*OPENAI_BASE_URL"):
        OpenAISource()


@pytest.mark.parametrize(
    ("told", "expected"),
    [((), "be kind"), ((Message("system", "be brief"),), "be brief")],
    ids=["option", "conversation"],
)
def test_server_is_sent_the_whole_of_a_conversation(server: Receiver, told: tuple[Message, ...], expected: str) -> None:
    source = OpenAISource(base(server), ServerOptions(system="be kind"))
    said = (Message("user", "one"), Message("assistant", "1"), Message("user", "two"))
    server.script(streamed(HELLO))

    with MemoryFan() as fan:
        # Before anything was said; and chat=False is a wish that a configuration may have for `run`.
        source.load(Request(messages=(), chat=False))
        source.run(cast("Fan", fan), Request(messages=(*told, *said), chat=False))

    roles = [("system", expected), ("user", "one"), ("assistant", "1"), ("user", "two")]
    assert server.posted[0].path == "/v1/chat/completions"
    assert server.posted[0].event["messages"] == [{"role": role, "content": content} for role, content in roles]
    assert fan.opened[0].text == "Hello"


@pytest.mark.parametrize(
    ("wanted", "body", "expected"), [(5, {}, 5), (5, {"max_completion_tokens": 7}, 7), (None, {}, None)]
)
def test_stream_knows_how_many_tokens_it_has_at_most(
    server: Receiver, wanted: int | None, body: dict[str, Any], expected: int | None
) -> None:
    streams = asked(server, streamed(HELLO), request=Request(prompt="hi", max_new_tokens=wanted), body=body)

    assert streams[0].info.max_tokens == expected


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        (Request(), {}),
        (Request(prompt="\ud800"), {}),
        (Request(prompt="hi", chat=False), {"system": "x"}),
        (Request(prompt="hi"), {"n": 2, "resume": "continue"}),
        (Request(messages=()), {"n": 2}),
        (Request(messages=(Message("user", "\ud800"),)), {}),
        (Request(prompt="hi"), {"key": "a b"}),
        (Request(prompt="hi"), {"key": "a\nb"}),
    ],
)
def test_what_cannot_be_asked_is_refused(server: Receiver, request_: Request, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        OpenAISource(base(server), ServerOptions(**options)).load(request_)

    assert server.connections == 0


def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert one(asked(server, streamed(HELLO), max_elapsed=0))[0] == "Hello"


def test_proxy_that_can_be_none_is_an_error(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:99999")

    _, end = one(asked(server, url="http://example.invalid"))

    assert "no connection: " in error_of(end)
    assert "port" in error_of(end)


@pytest.mark.parametrize("package", ["httpx2", "tenacity"])
def test_missing_package_is_named_with_its_extra(
    server: Receiver, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=rf"source 'openai' needs {package}.*\nTry: .*streamfan\[openai\]"):
        OpenAISource(base(server)).load(Request(prompt="hi"))


# The key


def test_key_of_the_environment_is_sent(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")

    asked(server, streamed(HELLO))

    assert server.posted[0].headers["authorization"] == "Bearer sk-environment"


def test_key_that_the_server_repeats_is_not_shown(server: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    refused = answer(401, body=b'{"error": {"message": "Incorrect key: sk-secret"}}')
    busy = answer(500, body=b"sk-secret")
    midway = streamed(BEGUN + event({"error": "sk-secret has no money"}))

    ends = [one(asked(server, busy, reply, key="sk-secret"))[1] for reply in (refused, midway)]

    assert server.posted[0].headers["authorization"] == "Bearer sk-secret"
    assert "'Incorrect key: ***'\nTry: the key" in error_of(ends[0])
    assert "*** has no money" in error_of(ends[1])
    assert "sk-secret" not in caplog.text


def test_key_in_other_letters_is_not_logged(server: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    asked(server, answer(503, body=b'{"error": "\\u0073k-secret is tired"}'), streamed(HELLO), key="sk-secret")

    assert "*** is tired" in caplog.text
    assert "sk-secret" not in caplog.text


def test_key_that_is_cut_off_with_what_the_server_says_is_not_shown(server: Receiver) -> None:
    key = "sk-" + "very-secret-" * 5

    ends = [
        one(asked(server, streamed(BEGUN + event({"error": "x" * (200 - shown) + key})), key=key))[1]
        for shown in (10, len(key) - 1)
    ]

    assert all("x***..." in error_of(end) for end in ends)
    assert all("sk-" not in error_of(end) for end in ends)


# What is answered


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_text(server: Receiver, name: str) -> None:
    text, end = one(asked(server, (until_closed if name == "mlx-lm" else streamed)(DIALECTS[name])))

    assert (text, end.finish_reason) == (DIALECT_TEXT, "stop")
    usage = {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}
    assert end.meta.get("usage") == (None if name == "llama-cpp" else usage)


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_stream_has_the_outcome_that_it_should(server: Receiver, name: str, size: int) -> None:
    played = HOSTILE[name]
    reply = streamed(played.body, size=max(size, len(played.body) // 2_000))
    text, end = one(asked(server, reply, max_elapsed=0))

    assert (text, end.finish_reason) == (played.text, played.finish)
    if played.error is not None:
        assert end.error is not None
        assert played.error.replace("\\", "") in end.error.message


def test_server_may_call_it_what_it_likes(server: Receiver) -> None:
    assert one(asked(server, streamed(HELLO, kind="application/json")))[0] == "Hello"


def test_every_choice_is_a_stream(server: Receiver) -> None:
    body = b"".join(
        [
            event(chunk("a", index=1)),
            event(chunk("b", index=0)),
            event(chunk("c", "length", index=1)),
            event(chunk("d", "stop", index=0)),
        ]
    )

    streams = asked(server, streamed(body), n=2)

    outcomes = [(each.info.row, each.text, each.finish_reason) for each in streams]
    assert outcomes == [(0, "bd", "stop"), (1, "ac", "length")]
    assert server.posted[0].event["n"] == 2


def test_choice_that_ends_before_another_begins_is_not_its_end(server: Receiver) -> None:
    streams = asked(server, streamed(event(chunk("a", "stop")) + event(chunk("b", "stop", index=1))), n=2)

    assert [each.text for each in streams] == ["a", "b"]


def test_choice_that_is_cut_off_is_no_fault_of_another(server: Receiver) -> None:
    streams = asked(server, streamed(event(chunk("a", "stop")) + event(chunk("b", index=1))), n=2)

    assert [(each.text, each.finish_reason) for each in streams] == [("a", "stop"), ("b", "error")]


def test_server_that_gives_fewer_answers_is_told_of(server: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    text, end = one(asked(server, streamed(HELLO), n=3))

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert "gave 1 of 3 answers" in caplog.text


def test_reasoning_is_a_stream_of_its_own(server: Receiver) -> None:
    body = event(chunk(content=None, reasoning_content="hm, ")) + event(chunk(content="", reasoning="so")) + HELLO

    answer_, reasoning = asked(server, streamed(body), reasoning=True)

    assert (answer_.text, reasoning.text) == ("Hello", "hm, so")
    assert (reasoning.id, reasoning.info.meta) == (f"{answer_.id}-reasoning", {"of": answer_.id})
    assert reasoning.finish_reason == "stop"


def test_answer_that_is_only_thought_is_told_of(server: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    text, _ = one(asked(server, streamed(event(chunk(reasoning="hm")) + event(chunk(finish="length")))))

    assert text == ""
    assert "source.reasoning=true" in caplog.text


def test_calls_to_tools_are_in_the_end(server: Receiver) -> None:
    body = b"".join(
        map(
            event,
            [
                chunk(
                    tool_calls=[
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                ),
                chunk(tool_calls=[{"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}}]),
                chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
                chunk(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}]),
                chunk(finish="tool_calls"),
            ],
        )
    )

    text, end = one(asked(server, streamed(body + DONE)))

    assert (text, end.finish_reason, end.meta["finish_reason"]) == ("", "stop", "tool_calls")
    assert end.meta["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


@pytest.mark.parametrize("number", [{"index": 0}, {}])
def test_calls_to_tools_that_all_have_one_number_are_told_apart(server: Receiver, number: dict[str, int]) -> None:
    parts = [
        {**number, "id": "c1", "function": {"name": "f", "arguments": '{"a":'}},
        # Of vLLM, whose every part had an id.
        {**number, "id": "x1", "function": {"arguments": " 1}"}},
        {**number, "id": "c2", "function": {"name": "f", "arguments": '{"a": 2}'}},
    ]
    body = b"".join(event(chunk(tool_calls=[part])) for part in parts) + event(chunk(finish="tool_calls"))

    _, end = one(asked(server, streamed(body)))

    assert [(call["id"], call["function"]["arguments"]) for call in end.meta["tool_calls"]] == [
        ("c1", '{"a": 1}'),
        ("c2", '{"a": 2}'),
    ]


def test_counts_that_come_after_the_end_are_waited_for_but_not_for_long(server: Receiver) -> None:
    body = event(chunk("Hello", "stop")) + event({"choices": [], "usage": {"total_tokens": 3}})

    text, end = one(asked(server, held(body)))

    assert (text, end.finish_reason, end.meta) == ("Hello", "stop", {"usage": {"total_tokens": 3}})


def usage(tokens: int) -> bytes:
    return event({"choices": [], "usage": {"completion_tokens": tokens}})


def test_tokens_are_what_the_server_has_counted(server: Receiver) -> None:
    _, end = one(asked(server, streamed(chat("Hel", "lo", done=False) + usage(7) + DONE)))

    assert (end.tokens, end.token_ids) == (7, ())


def test_chunks_are_not_counted_as_tokens(server: Receiver) -> None:
    assert one(asked(server, streamed(HELLO)))[1].tokens == 0


@pytest.mark.parametrize("count", [-1, 10**400, True, 1.5, "7", None])
def test_count_that_can_be_none_is_left_out(server: Receiver, count: object) -> None:
    counted = event({"choices": [], "usage": {"completion_tokens": count, "total_tokens": 9}})

    _, end = one(asked(server, streamed(chat("Hel", "lo", done=False) + counted + DONE)))

    assert (end.finish_reason, end.tokens, end.meta) == ("stop", 0, {"usage": {"total_tokens": 9}})


def test_count_of_all_choices_is_none_of_one(server: Receiver) -> None:
    body = event(chunk("a", "stop")) + event(chunk("b", "stop", index=1)) + usage(7) + DONE

    assert [stream.tokens for stream in asked(server, streamed(body), n=2)] == [0, 0]


@pytest.mark.parametrize(("first", "expected"), [(usage(2), 5), (b"", 0)], ids=["all", "in part"])
def test_count_of_an_answer_that_went_on_is_of_all_of_it_or_none(server: Receiver, first: bytes, expected: int) -> None:
    rest = chat("lo", done=False) + usage(3) + DONE

    replies = dropped(BEGUN + first), answer(503), hang_up, streamed(rest)

    _, end = one(asked(server, *replies, resume="continue"))

    assert (end.finish_reason, end.tokens) == ("stop", expected)


# What goes wrong


def test_connection_that_breaks_after_the_first_text_is_an_error_with_the_text(server: Receiver) -> None:
    text, end = one(asked(server, dropped(BEGUN), streamed(HELLO)))

    assert (text, end.finish_reason) == ("Hel", "error")
    assert end.error is not None
    assert end.error.type == "CutOff"
    assert len(server.posted) == 1


@pytest.mark.parametrize(
    "reply",
    [
        hang_up,
        dropped(b""),
        dropped(event(chunk(role="assistant"))),
        streamed(b""),
        # On HTTP/1.0 there is no other way to tell that a server has died.
        until_closed(event(chunk(role="assistant"))),
        until_closed(event(chunk(role="assistant"))[:-10]),
        answer(500),
        answer(503, {"retry-after": "0"}),
        answer(429, {"retry-after": "1"}),
        answer(408),
        answer(409),
    ],
)
def test_what_breaks_before_the_first_text_is_tried_again(
    server: Receiver, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    text, end = one(asked(server, reply, streamed(HELLO)))

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert len(server.posted) == 2
    assert "trying again" in caplog.text


def test_reasoning_that_nobody_is_shown_is_no_text(server: Receiver) -> None:
    thought = event(chunk(reasoning="hm"))

    assert one(asked(server, dropped(thought), streamed(thought + HELLO)))[0] == "Hello"


def test_calls_to_tools_are_no_text_and_begin_again(server: Receiver) -> None:
    call = event(chunk(tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": "{"}}]))
    rest = event(chunk(tool_calls=[{"function": {"arguments": "}"}}])) + event(chunk(finish="tool_calls"))

    _, end = one(asked(server, dropped(call), streamed(call + rest)))

    assert [each["function"]["arguments"] for each in end.meta["tool_calls"]] == ["{}"]


def test_reasoning_that_was_shown_is_not_shown_again(server: Receiver) -> None:
    answer_, reasoning = asked(server, dropped(event(chunk(reasoning="hm"))), streamed(HELLO), reasoning=True)

    assert (answer_.text, reasoning.text) == ("", "hm")
    assert (answer_.finish_reason, reasoning.finish_reason) == ("error", "error")
    assert len(server.posted) == 1


def test_that_it_is_tried_again_is_said_once(server: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    asked(server, answer(500), answer(500), answer(500), streamed(HELLO))

    assert len(server.posted) == 4
    assert caplog.text.count("trying again") == 1


def test_any_success_is_one(server: Receiver) -> None:
    assert one(asked(server, answer(201, body=HELLO)))[0] == "Hello"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422, 501])
def test_refusal_is_final(server: Receiver, status: int) -> None:
    text, end = one(asked(server, answer(status, body=b'{"detail": "no"}')))

    assert (text, end.finish_reason) == ("", "error")
    assert f"answered {status}" in error_of(end)
    assert "'no'" in error_of(end)
    assert len(server.posted) == 1


def test_wait_that_is_too_long_is_not_waited_for(server: Receiver) -> None:
    _, end = one(asked(server, answer(429, {"retry-after": "3000"})))

    assert "429" in error_of(end)
    assert len(server.posted) == 1


def test_refusal_without_an_end_is_not_listened_to_for_ever(server: Receiver) -> None:
    _, end = one(asked(server, endless(b"HTTP/1.1 401 No\r\n\r\n", b"no ", 0.1)))

    assert "answered 401 Unauthorized: 'no " in error_of(end)


def test_server_on_this_machine_may_be_called_by_its_ipv6_address() -> None:
    with Receiver() as gone:
        pass

    _, end = one(asked(gone, url=f"http://[::1]:{gone.port}", max_elapsed=0.0))

    assert f"http://[::1]:{gone.port}/v1: All connection attempts failed" in error_of(end)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "gopher://x"])
def test_no_proxy_leads_to_a_server_on_this_machine(
    server: Receiver, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert one(asked(server, streamed(HELLO)))[0] == "Hello"


@pytest.mark.parametrize("proxy", ["gopher://user:password@x:1", "http://user:pass:word@x:password"])
def test_proxy_that_cannot_be_used_is_an_error_without_its_password(
    server: Receiver, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    _, end = one(asked(server, url="http://example.invalid"))

    assert "the environment's proxy or certificates cannot be used" in error_of(end)
    assert "word" not in error_of(end)


def test_certificates_that_are_not_there_are_an_error(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/to/be/found.pem")

    _, end = one(asked(server, url=f"https://localhost:{server.port}"))

    assert "certificates cannot be used" in error_of(end)
    assert "Try: look at $" in error_of(end)


def test_host_that_cannot_be_is_refused_before_anything_is_asked(server: Receiver) -> None:
    with pytest.raises(SpecError, match="the URL 'http://…/v1' cannot be used"):
        asked(server, url="http://…")


def test_nobody_there_is_an_error() -> None:
    with Receiver() as gone:
        pass

    _, end = one(asked(gone, max_elapsed=0.5))

    assert end.finish_reason == "error"
    assert f"http://127.0.0.1:{gone.port}/v1: " in error_of(end)


def test_server_that_does_not_greet_is_an_error(server: Receiver) -> None:
    # The system accepts the connection, and nobody says a word of TLS.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        _, end = one(asked(server, url=url, connect_timeout=0.2, max_elapsed=0))

    assert "no connection within 0.2 s" in error_of(end)


def test_certificate_that_is_not_trusted_is_final() -> None:
    with Receiver(tls=True) as server:
        _, end = one(asked(server, url=f"https://localhost:{server.port}"))

    assert "CERTIFICATE_VERIFY_FAILED" in error_of(end)
    assert server.connections == 1


def test_no_first_token_is_an_error_though_the_server_says_that_it_is_there(server: Receiver) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n" + event(chunk(role="assistant"))

    _, end = one(asked(server, endless(head, b": keepalive\n\n", 0.01), first_token_timeout=0.3))

    assert "no token has come for 0.3 s" in error_of(end)


def test_no_answer_at_all_is_an_error(server: Receiver) -> None:
    _, end = one(asked(server, silence, first_token_timeout=0.3))

    assert "no token has come for 0.3 s" in error_of(end)
    assert len(server.posted) == 1


def test_no_further_token_is_an_error_with_the_text(server: Receiver) -> None:
    text, end = one(asked(server, held(BEGUN), token_timeout=0.3))

    assert (text, error_of(end)) == ("Hel", "no token has come for 0.3 s")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=GARBAGE, size=st.integers(1, 50))
def test_whatever_is_sent_there_is_an_outcome(server: Receiver, garbage: bytes, size: int) -> None:
    server.script(streamed(event(chunk("before")) + garbage + b"\n\n" + chat("after"), size=size))
    source, request = OpenAISource(base(server), ServerOptions(reasoning=True)), Request(prompt="hi")
    events: list[Event] = []

    with Fan(Callback(events.append, events=True)) as fan:
        source.load(request)
        source.run(fan, request)

    # It is in every report: of the sink, of the streams, and of them all for Prometheus.
    fan.report.raise_for_failures()
    ends = [each for each in events if isinstance(each, End)]
    assert len(ends) == len(fan.report.streams) == sum(ended.count for ended in fan.report.metrics.ended)
    assert fan.report.streams[0].bytes >= len("before")


# Going on


def test_answer_that_was_cut_off_goes_on_where_that_is_wanted(server: Receiver) -> None:
    request = Request(prompt="hi", max_new_tokens=10)
    replies = dropped(BEGUN), until_closed(chat("l", finish=None, done=False)), streamed(chat("o"))

    text, end = one(asked(server, *replies, request=request, resume="continue"))

    assert (text, end.finish_reason) == ("Hello", "stop")
    bodies = [posted.event for posted in server.posted]
    assert [body["messages"][1:] for body in bodies] == [
        [],
        [{"role": "assistant", "content": "Hel"}],
        [{"role": "assistant", "content": "Hell"}],
    ]
    assert [body["max_tokens"] for body in bodies] == [10, 9, 8]
    assert (bodies[1]["continue_final_message"], bodies[1]["add_generation_prompt"]) == (True, False)


def test_completion_goes_on_from_all_of_its_text(server: Receiver) -> None:
    replies = dropped(event({"choices": [{"text": " upon"}]})), streamed(event({"choices": [{"text": " a"}]}) + DONE)

    text, _ = one(asked(server, *replies, request=Request(prompt="Once", chat=False), resume="continue"))

    assert text == " upon a"
    assert server.posted[1].event["prompt"] == "Once upon"


def test_answer_that_has_all_its_tokens_does_not_go_on(server: Receiver) -> None:
    cut = dropped(event({**chunk("Hel"), "usage": {"completion_tokens": 5}}))

    text, end = one(asked(server, cut, request=Request(prompt="hi", max_new_tokens=5), resume="continue"))

    assert (text, end.finish_reason) == ("Hel", "length")
    assert len(server.posted) == 1


def test_server_that_has_nothing_more_to_say_is_not_asked_for_ever(server: Receiver) -> None:
    silent = streamed(DONE.replace(b"[DONE]", b"{}"))

    text, end = one(asked(server, dropped(BEGUN), silent, resume="continue", max_elapsed=0))

    assert (text, end.finish_reason) == ("Hel", "error")
    assert len(server.posted) == 2


def test_answer_that_has_its_end_does_not_go_on(server: Receiver) -> None:
    text, end = one(asked(server, dropped(chat("Hello", done=False)), resume="continue"))

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert len(server.posted) == 1


def test_server_that_cannot_go_on_leaves_the_text(server: Receiver) -> None:
    text, end = one(asked(server, dropped(BEGUN), answer(422, body=b'{"detail": "unknown"}'), resume="continue"))

    assert (text, end.finish_reason) == ("Hel", "error")
    assert "422" in error_of(end)


# Stopping


def run_and_cancel(server: Receiver, reply: Reply, *, begun: bool, **options: Any) -> list[Stream]:
    """Run against this reply until there is text, or the server was asked, and then ask the stream to stop."""
    server.script(reply)
    source, request = OpenAISource(base(server), ServerOptions(**options)), Request(prompt="hi")
    source.load(request)
    with MemoryFan() as fan:
        thread = threading.Thread(target=source.run, args=(fan, request))
        thread.start()
        stream = fan.next()
        if begun:
            assert next(stream.follow()) == "Hel"
        server.wait_for(1)
        stream.cancel("enough", by="ann")
        thread.join(PATIENCE)
        assert not thread.is_alive()
        return fan.opened


def test_cancel_hangs_up_at_once(server: Receiver) -> None:
    # One that goes on, to see that nobody listens.
    chatty = endless(b"HTTP/1.1 200 OK\r\n\r\n" + BEGUN, b": there\n\n", 0.01)

    (stream,) = run_and_cancel(server, chatty, begun=True)

    server.wait_until(lambda: server.connected == 0)
    assert stream.outcome is not None
    assert (stream.text, stream.finish_reason) == ("Hel", "cancelled")
    assert stream.outcome.cancel is not None
    assert stream.outcome.cancel.by == "ann"


def test_cancel_is_heard_before_there_is_an_answer(server: Receiver) -> None:
    (stream,) = run_and_cancel(server, silence, begun=False)

    assert (stream.text, stream.finish_reason) == ("", "cancelled")


def test_cancel_is_heard_between_two_tries(server: Receiver) -> None:
    (stream,) = run_and_cancel(server, answer(503, {"retry-after": "300"}), begun=False, max_elapsed=600)

    assert stream.finish_reason == "cancelled"


def test_choice_that_nobody_wants_ends_alone(server: Receiver) -> None:
    first, rest = threading.Event(), threading.Event()

    def reply(exchange: Any) -> None:
        exchange.hang_up()
        exchange.send(b"HTTP/1.1 200 OK\r\n\r\n" + event(chunk("a")) + event(chunk("b", index=1)))
        first.set()
        rest.wait(PATIENCE)
        exchange.send(event(chunk("x")) + event(chunk("c", "stop", index=1)))

    server.script(reply)
    source, request = OpenAISource(base(server), ServerOptions(n=2)), Request(prompt="hi")
    source.load(request)
    with MemoryFan() as fan:
        thread = threading.Thread(target=source.run, args=(fan, request))
        thread.start()
        one_, other = fan.next(), fan.next()
        one_.cancel()
        ended = threading.Event()
        one_.on_end(ended.set)
        assert ended.wait(PATIENCE)
        rest.set()
        thread.join(PATIENCE)

    assert (one_.text, one_.finish_reason) == ("a", "cancelled")
    assert (other.text, other.finish_reason) == ("bc", "stop")


def test_what_was_posted_is_json(server: Receiver) -> None:
    asked(server, streamed(HELLO), request=Request(prompt="狐\u2028"))

    assert json.loads(server.posted[0].body)["messages"][0]["content"] == "狐\u2028"
    assert server.posted[0].headers["content-type"] == "application/json"
