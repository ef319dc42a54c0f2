from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamfan.errors import MissingExtra, SpecError
from streamfan.events import Chunk, StreamInfo, Text, encode, now
from streamfan.sink import Delivery
from streamfan.sinks import webhook
from streamfan.sinks.webhook import WebhookOptions, WebhookSink

URL = "https://example.com/hook"
KEY = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def test_module_offers_its_sink_by_name_and_url_scheme() -> None:
    (sink,) = webhook.streamfan_sinks()

    assert (sink.name, sink.aliases, sink.delivery) == ("webhook", ("http", "https"), Delivery.AT_LEAST_ONCE)


def test_every_option_is_described() -> None:
    assert all(field.description for field in WebhookOptions.model_fields.values())


# The URL


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("example.com/hook", "neither http:// nor https://"),
        ("ftp://example.com/", "neither http:// nor https://"),
        ("webhook://example.com/", "neither http:// nor https://"),
        ("https://", "has no host"),
        ("https:///hook", "has no host"),
        ("https://:8080/hook", "has no host"),
        ("https://example.com:0/", "has port 0"),
        ("https://example.com:65536/", "cannot be read"),
        ("https://example.com:eighty/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://example..com/", "cannot be read"),
        ("https://☃.example/", "cannot be read"),
        ("https://256.1.1.1/", "cannot be read"),
        ("https://[::1.2]/", "cannot be read"),
        ("https://[v1.x]/", "cannot be read"),
        ("https://example.com/\udcff", "cannot be read"),
        ("https://example.com/" + "a" * 20_000, "is longer than"),
        (f"https://{'a' * 64}.com/", "cannot be read"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/a b", "white space"),
        ("https://exam\nple.com/", "white space"),
        ("https://user:hunter2@example.com/", "user name or password"),
        ("https://@example.com/", "user name or password"),
    ],
)
def test_target_that_cannot_be_posted_to_is_refused_at_once(target: str | None, why: str) -> None:
    with pytest.raises(SpecError) as refused:
        WebhookSink(target)

    assert why in str(refused.value)
    assert "webhook:https://host/path" in str(refused.value)
    assert "--sink https://host/path" in str(refused.value)


@pytest.mark.parametrize(
    "target",
    ["https://user:hunter2@example.com/", "https://user:hunter2@example.com:eighty/", "user:hunter2@example.com"],
)
def test_refused_url_is_not_quoted(target: str) -> None:
    with pytest.raises(SpecError) as refused:
        WebhookSink(target)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("https://example.com", "https://example.com"),
        ("http://[::1]:8080/hook", "http://[::1]:8080/hook"),
        ("https://exämple.com/@name/hook", "https://exämple.com/@name/hook"),
        ("https://example.com/hook?token=hunter2", "https://example.com/hook?..."),
    ],
)
def test_label_is_the_url_without_its_query(target: str, label: str) -> None:
    assert WebhookSink(target).label == label


# Options


@pytest.mark.parametrize("length", [24, 64])
def test_secret_of_the_standard_length_is_taken(length: int) -> None:
    key = "whsec_" + base64.b64encode(bytes(length)).decode()

    assert WebhookOptions.model_validate({"secret": key}).secret is not None


def test_secret_without_base64_padding_is_taken() -> None:
    key = "whsec_" + base64.b64encode(bytes(32)).decode().rstrip("=")

    assert WebhookOptions.model_validate({"secret": key}).secret is not None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2",
        KEY.removeprefix("whsec_"),
        KEY.replace("whsec_", "whsk_"),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        KEY[:-1] + "!",
        KEY[:-1] + "é",
        f"{KEY}\n",
    ],
)
def test_secret_that_is_no_signing_key_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WebhookOptions.model_validate({"secret": secret})

    assert "expected whsec_ and the base64 of 24 to 64 random bytes" in str(refused.value)
    key = secret.removeprefix("whsec_")
    assert not key or key not in str(refused.value)


def test_secret_is_in_no_repr() -> None:
    options = WebhookOptions.model_validate({"secret": KEY})

    sink = WebhookSink(URL, options)

    assert KEY not in repr(options) + repr(sink) + repr(vars(sink))


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_timeout_that_leaves_no_time_is_refused(timeout: object) -> None:
    with pytest.raises(ValidationError, match="timeout"):
        WebhookOptions.model_validate({"timeout": timeout})


# Client libraries


def test_no_client_library_is_imported_before_connect() -> None:
    code = (
        "import sys\n"
        "from streamfan.sinks.webhook import WebhookOptions, WebhookSink\n"
        f"WebhookSink({URL!r}, WebhookOptions(secret={KEY!r})).size('text')\n"
        "print({'httpx2', 'httpcore2', 'standardwebhooks'} & set(sys.modules))\n"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "set()"


def test_missing_httpx2_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "streamfan.sinks.webhook.endpoint", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)

    with pytest.raises(MissingExtra, match=r"sink 'webhook' needs httpx2.*\n.*'streamfan\[webhook\]'"):
        WebhookSink(URL).connect()


def test_missing_standardwebhooks_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "streamfan.sinks.webhook.signing", raising=False)
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)
    sink = WebhookSink(URL, WebhookOptions.model_validate({"secret": KEY}))

    with pytest.raises(MissingExtra, match=r"needs standardwebhooks.*\n.*'streamfan\[webhook\]'"):
        sink.connect()


# Sizes


@given(
    text=st.text(min_size=1),
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True),
    attempt=st.integers(1, 2**63),
    offset=st.integers(0, 2**63),
)
@example(text='"\\\x00\x1f\x7f\u2028😀é' * 100, id="x" * 64, attempt=2**63, offset=2**63)
def test_size_is_never_less_than_the_body(text: str, id: str, attempt: int, offset: int) -> None:
    chunk = Chunk(StreamInfo(id=id, attempt=attempt, writer="w", time=now()), offset, text.encode())

    body = encode(Text.of(chunk, token_ids=False))

    assert len(body) <= WebhookSink(URL).size(text)


def test_size_counts_what_json_escapes() -> None:
    sink = WebhookSink(URL)

    assert sink.size("\x00" * 100) - sink.size("") == 600
    assert sink.size("é" * 100) - sink.size("") == 200
