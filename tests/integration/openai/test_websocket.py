"""The websocket source against the server of the `websockets` library."""

from __future__ import annotations

import socket
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamfan.errors import MissingExtra, SpecError, UsageError
from streamfan.plugins import plugins
from streamfan.source import Request
from streamfan.sources.openai import asking
from streamfan.sources.websocket import WebSocketOptions, WebSocketSource
from streamfan.specs import parse
from tests.support.dialects import chunk
from tests.support.opener import MemoryFan
from tests.support.receiver import PATIENCE, Receiver, answer, redirect, silence
from tests.support.websocket_server import SocketServer, kept, lost, said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.events import End
    from streamfan.fan import Fan
    from tests.support.websocket_server import Handler

HELLO = (chunk(role="assistant"), chunk("Hel"), chunk("lo"), chunk(finish="stop"))


@pytest.fixture
def server() -> Iterator[SocketServer]:
    with SocketServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asked(
    server: SocketServer, *handlers: Handler, request: Request | None = None, url: str | None = None, **options: Any
) -> tuple[str, End]:
    """The text and the end of one run, which the server answers like this."""
    server.script(*handlers)
    request = request or Request(prompt="hi")
    source = WebSocketSource(url or server.url, WebSocketOptions(**options))
    with MemoryFan() as fan:
        source.load(request)
        source.run(cast("Fan", fan), request)
    (stream,) = fan.opened
    assert stream.outcome is not None
    return stream.text, stream.outcome


def error_of(end: End) -> str:
    assert end.error is not None
    return end.error.message


def test_source_is_found_by_its_name_and_by_its_schemes() -> None:
    for name in ("websocket", "ws", "wss"):
        assert plugins().source(name) is WebSocketSource
    assert plugins().make_source(parse("ws://localhost:8000")).target == "ws://localhost:8000"


def test_documented_dialect_is_spoken(server: SocketServer) -> None:
    request = Request(prompt="Tell me a story.", model="m", max_new_tokens=200)

    text, end = asked(server, said(*HELLO), request=request, key="sk-secret")

    assert (text, end.finish_reason) == ("Hello", "stop")
    (question,) = server.asked
    assert question.path == "/v1/chat/completions"
    assert question.headers["authorization"] == "Bearer sk-secret"
    assert question.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "stream": True,
        "max_tokens": 200,
    }


@pytest.mark.parametrize("path", ["/v1", "/v1/chat/completions", "/v1/completions/"])
def test_base_url_may_have_its_version_or_not(server: SocketServer, path: str) -> None:
    request = Request(prompt="Once", chat=False)

    text, _ = asked(
        server, said({"choices": [{"text": "upon", "finish_reason": "stop"}]}), request=request, url=server.url + path
    )

    assert (text, server.asked[0].path, server.asked[0].body["prompt"]) == ("upon", "/v1/completions", "Once")


def test_counts_are_waited_for_where_they_are_wanted(server: SocketServer) -> None:
    _, end = asked(server, kept(*HELLO, {"choices": [], "usage": {"total_tokens": 3}}), usage=True)

    assert end.meta["usage"] == {"total_tokens": 3}


def test_server_that_does_not_hang_up_is_not_waited_for(server: SocketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_AFTERWARDS", 3600.0)

    text, end = asked(server, kept(*HELLO))

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert server.gone.wait(PATIENCE)


@pytest.mark.parametrize(
    "messages",
    [
        (chunk("Hel"), chunk("lo", "stop")),
        (b'{"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}',),
        (chunk("Hello"), "[DONE]"),
        (chunk(content=None), {"choices": None}, {"choices": []}, {"x": 1}, *HELLO),
    ],
)
def test_other_dialects_are_understood(server: SocketServer, messages: tuple[object, ...]) -> None:
    text, end = asked(server, said(*messages))

    assert (text, end.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("hello", "'hello'"),
        ("", "''"),
        ("[1]", "'[1]'"),
        (b"\xff", "no JSON"),
        ({"error": {"message": "no", "code": 429}}, "'no'"),
        ({"type": "error", "message": "no"}, "'no'"),
        ({"detail": "no"}, "'no'"),
        ({"choices": [{"delta": 1}]}, "delta"),
    ],
)
def test_garbage_ends_the_stream_with_what_it_was(server: SocketServer, message: object, error: str) -> None:
    text, end = asked(server, said(chunk("Hel"), message, *HELLO))

    assert (text, end.finish_reason) == ("Hel", "error")
    assert error in error_of(end)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.text(max_size=20) | st.binary(max_size=20))
def test_whatever_is_sent_there_is_an_outcome(server: SocketServer, garbage: str | bytes) -> None:
    text, end = asked(server, said(chunk("Hel"), garbage, code=1000))

    assert text == "Hel"
    assert end.finish_reason == "error"


@pytest.mark.parametrize(
    "handler", [said(chunk("Hel")), said(chunk("Hel"), code=1001), said(chunk("Hel"), code=1011), lost(chunk("Hel"))]
)
def test_answer_that_is_cut_off_is_an_error_with_the_text(server: SocketServer, handler: Handler) -> None:
    text, end = asked(server, handler)

    assert (text, end.finish_reason) == ("Hel", "error")
    assert end.error is not None
    assert end.error.type == "CutOff"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "handler",
    [said(code=1000), said(code=1001), said(code=1011), said(code=1013), lost(), lost(chunk(role="assistant"))],
)
def test_what_breaks_before_the_first_text_is_tried_again(server: SocketServer, handler: Handler) -> None:
    text, end = asked(server, handler, said(*HELLO))

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert len(server.asked) == 2


def test_handshake_that_is_refused_for_now_is_tried_again(server: SocketServer) -> None:
    server.refused.extend([HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS])

    assert asked(server, said(*HELLO))[0] == "Hello"


def test_handshake_that_is_refused_is_an_error_without_the_key(
    server: SocketServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused.extend([HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNAUTHORIZED])

    _, end = asked(server, key="sk-secret")

    assert "answered 401 Unauthorized: 'no, Bearer ***'\nTry: the key" in error_of(end)
    assert "Bearer ***'; trying again" in caplog.text
    assert "sk-secret" not in caplog.text


def test_goodbye_with_a_reason_is_final(server: SocketServer) -> None:
    _, end = asked(server, said(code=1008, reason="not you"))

    assert "closed with code 1008: 'not you'" in error_of(end)
    assert len(server.asked) == 1


def test_server_of_another_kind_is_an_error() -> None:
    with Receiver(answer(404)) as other, SocketServer() as unused:
        _, end = asked(unused, url=f"ws://127.0.0.1:{other.port}")

    assert "answered 404" in error_of(end)


def test_redirect_is_not_followed(server: SocketServer) -> None:
    with Receiver(redirect(307, server.url)) as other:
        _, end = asked(server, said(*HELLO), url=f"ws://127.0.0.1:{other.port}")

    assert "redirects are not followed, give the final URL" in error_of(end)
    assert server.asked == []


def test_proxy_that_cannot_be_used_is_an_error_without_its_password(
    server: SocketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_PROXY", "gopher://user:password@x:1")

    _, end = asked(server, url="ws://example.invalid")

    assert "the environment's proxy cannot be used" in error_of(end)
    assert "password" not in error_of(end)


def test_proxy_whose_url_is_none_is_an_error(server: SocketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_PROXY", "http://[bad")

    _, end = asked(server, url="ws://example.invalid")

    assert "ws://example.invalid/v1: " in error_of(end)


def test_proxy_that_hangs_up_is_an_error_and_no_traceback(
    server: SocketServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("WS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        answering = threading.Thread(target=_babble, args=(proxy,))
        answering.start()

        _, end = asked(server, url="ws://example.invalid", max_elapsed=0)
        answering.join()

    assert error_of(end)
    assert not [record for record in caplog.records if record.name == "asyncio"]


def _babble(listening: socket.socket) -> None:
    """Take one connection, and answer what is no HTTP."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"hello")


def test_server_that_does_not_greet_is_an_error() -> None:
    with Receiver(silence) as other, SocketServer() as unused:
        _, end = asked(unused, url=f"ws://127.0.0.1:{other.port}", connect_timeout=0.2, max_elapsed=0)

    assert "no connection within 0.2 s" in error_of(end)


def test_no_further_token_is_an_error(server: SocketServer) -> None:
    text, end = asked(server, kept(chunk("Hel")), token_timeout=0.3)

    assert (text, error_of(end)) == ("Hel", "no token has come for 0.3 s")


def test_server_that_answers_no_ping_is_lost(server: SocketServer) -> None:
    # Its library answers pings while it lives; so its connection is stopped from reading.
    def deaf(connection: Any) -> None:
        connection.send('{"choices": [{"delta": {"content": "Hel"}}]}')
        with connection.protocol_mutex:
            server.closing.wait(PATIENCE)

    text, end = asked(server, deaf, ping=1.5)
    server.closing.set()

    assert (text, end.finish_reason) == ("Hel", "error")
    assert "ping" in error_of(end)


def test_answer_that_was_cut_off_goes_on_where_that_is_wanted(server: SocketServer) -> None:
    text, end = asked(server, lost(chunk("Hel")), said(chunk("lo", "stop")), resume="continue")

    assert (text, end.finish_reason) == ("Hello", "stop")
    assert server.asked[1].body["messages"][1:] == [{"role": "assistant", "content": "Hel"}]


def test_cancel_hangs_up(server: SocketServer) -> None:
    server.script(kept(chunk("Hel")))
    source, request = WebSocketSource(server.url), Request(prompt="hi")
    source.load(request)
    with MemoryFan() as fan:
        thread = threading.Thread(target=source.run, args=(fan, request))
        thread.start()
        stream = fan.next()
        assert next(stream.follow()) == "Hel"
        stream.cancel()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert (stream.text, stream.finish_reason) == ("Hel", "cancelled")
    assert server.gone.wait(PATIENCE)


@pytest.mark.parametrize("package", ["websockets", "tenacity"])
def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=rf"source 'websocket' needs {package}.*\nTry: .*streamfan\[websocket\]"):
        WebSocketSource("ws://localhost").load(Request(prompt="hi"))


def test_url_of_another_kind_is_refused() -> None:
    with pytest.raises(SpecError, match="begins with neither ws:// nor wss://"):
        WebSocketSource("http://localhost")
    with pytest.raises(SpecError, match="has a host or a port that cannot be read"):
        WebSocketSource("ws://a..b")
    with pytest.raises(UsageError, match="needs the URL of a server"):
        WebSocketSource()
