"""The options of the webhook sink: what is mistyped is found when they are given, and no secret is shown."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from streamfan.errors import SpecError
from streamfan.sinks.webhook import WebhookOptions, WebhookSink
from tests.support.receiver import CERTIFICATE, CERTIFICATES

if TYPE_CHECKING:
    from pathlib import Path

KEY = "whsec_" + base64.b64encode(bytes(range(24))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 25))).decode()
CERT, UNLOCKED, LOCKED = (CERTIFICATES / name for name in ("client.crt", "client.key", "locked.key"))
HIDDEN = "hunter2-hunter2"


def refusal(**options: object) -> str:
    with pytest.raises(ValidationError) as refused:
        WebhookOptions.model_validate(options)
    return str(refused.value)


def accepted(**options: object) -> WebhookOptions:
    return WebhookOptions.model_validate(options)


# Keys


def test_new_key_is_named_before_the_previous_one() -> None:
    assert accepted(secret=KEY, previous_secret=OTHER).secrets == (KEY, OTHER)


def test_previous_key_alone_is_refused() -> None:
    assert "previous_secret needs secret" in refusal(previous_secret=KEY)


def test_previous_key_that_is_none_is_refused() -> None:
    assert "expected whsec_" in refusal(secret=KEY, previous_secret="old")


# Headers


def test_token_and_headers_come_from_environment_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "t0ken")
    (tmp_path / "key").write_text("key of\tmine\n", encoding="utf-8")

    options = accepted(
        bearer_token={"env": "HOOK_TOKEN"}, headers={"X-Key": {"file": str(tmp_path / "key")}, "x-team": "stories"}
    )

    assert options.own_headers == {"authorization": "Bearer t0ken", "x-key": "key of\tmine", "x-team": "stories"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "\t*",
        " *",
        "* ",
        "*\t",
        "*\n",
        "*\r\nX-Other: b",
        "*\nb",
        "*\rb",
        "*\0b",
        "*\x7f",
        "*\x0b",
        "*é",
        "*\u2028b",
    ],
    ids=ascii,
)
def test_value_that_would_end_a_header_is_refused_unseen(value: str) -> None:
    said = refusal(headers={"X-Key": value.replace("*", HIDDEN)})

    assert "the value of header 'X-Key' cannot be sent" in said
    assert HIDDEN not in said


def test_variable_with_a_line_in_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", f"{HIDDEN}\r\nHost: elsewhere")

    said = refusal(headers={"X-Key": {"env": "KEY"}})

    assert "cannot be sent" in said
    assert HIDDEN not in said


@pytest.mark.parametrize("name", ["", " ", "X Key", "X-Key:", "X\r\nY", "Ключ", "X-Key\n", "(x)"])
def test_name_that_is_no_headers_is_refused(name: str) -> None:
    assert f"{name!r} cannot be the name of a header" in refusal(headers={name: "value"})


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Content-Type",
        "TRANSFER-ENCODING",
        "connection",
        "User-Agent",
        "Webhook-Id",
        "webhook-signature",
    ],
)
def test_header_of_the_sink_or_the_connection_is_refused(name: str) -> None:
    assert f"header {name!r} is not yours to set" in refusal(headers={name: "value"})


def test_header_that_is_there_twice_is_refused() -> None:
    assert "header 'x-key' is there twice" in refusal(headers={"X-Key": "a", "x-key": "b"})


def test_two_kinds_of_authorization_are_refused() -> None:
    assert "both set Authorization" in refusal(bearer_token="t", headers={"Authorization": "Basic eA=="})


@pytest.mark.parametrize("token", ["", "two words", "line\n", 'quo"te', '{"env":"HOOK_TOKEN"}', "é"])
def test_token_that_cannot_be_sent_is_refused(token: str) -> None:
    assert "not a token" in refusal(bearer_token=token)


def test_missing_variable_and_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOBODY", raising=False)

    assert "environment variable 'NOBODY' is not set" in refusal(bearer_token={"env": "NOBODY"})
    assert "cannot be read" in refusal(headers={"X-Key": {"file": str(tmp_path / "nothing")}})


def test_no_secret_is_in_any_repr() -> None:
    options = accepted(
        secret=KEY,
        previous_secret=OTHER,
        bearer_token=HIDDEN,
        headers={"X-Key": HIDDEN},
        client_cert=CERT,
        client_key=LOCKED,
        client_key_password="correct horse",
    )
    sink = WebhookSink("https://example.com/", options)

    shown = (
        repr(options)
        + repr(options.model_dump())
        + options.model_dump_json()
        + repr(vars(sink))
        + repr(options.identity)
    )

    assert not [secret for secret in (KEY, OTHER, HIDDEN, "correct horse") if secret in shown]


# TLS


@pytest.mark.parametrize(
    "identity",
    [
        {"client_cert": CERTIFICATE},
        {"client_cert": CERT, "client_key": UNLOCKED},
        {"client_cert": CERT, "client_key": UNLOCKED, "client_key_password": "not needed"},
        {"client_cert": CERT, "client_key": LOCKED, "client_key_password": "correct horse"},
    ],
)
def test_certificate_with_its_key_is_taken(identity: dict[str, Any]) -> None:
    assert accepted(**identity).identity is not None


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        ({"client_key": UNLOCKED}, "client_key needs client_cert"),
        ({"client_key_password": "x"}, "client_key_password needs client_cert"),
        ({"client_cert": CERT}, "or give the key's file as client_key"),
        ({"client_cert": UNLOCKED}, "no certificate with its key in PEM"),
        ({"client_cert": CERT, "client_key": CERTIFICATE}, "the key belongs to another certificate"),
        ({"client_cert": CERT, "client_key": CERT}, "no certificate with its key in PEM"),
        ({"client_cert": "/nowhere.pem"}, "file '/nowhere.pem' cannot be read: No such file"),
        ({"client_cert": CERT, "client_key": "/nowhere.key"}, "file '/nowhere.key' cannot be read: No such file"),
        ({"client_cert": CERTIFICATES}, "cannot be read: Is a directory"),
        ({"client_cert": CERT, "client_key": LOCKED}, "is encrypted, and client_key_password is not given"),
        ({"client_cert": CERT, "client_key": LOCKED, "client_key_password": HIDDEN}, "or client_key_password is wrong"),
        ({"client_cert": CERT, "client_key": LOCKED, "client_key_password": ""}, "or client_key_password is wrong"),
        ({"client_cert": CERT, "client_key": LOCKED, "client_key_password": HIDDEN * 100}, "longer than 1024 bytes"),
    ],
)
def test_certificate_that_cannot_be_shown_is_refused(identity: dict[str, Any], why: str) -> None:
    said = refusal(**identity)

    assert why in said
    assert HIDDEN not in said


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nowhere.pem", "file '/nowhere.pem' cannot be read: No such file"),
        (CERTIFICATES, "cannot be read: Is a directory"),
        (UNLOCKED, "holds no certificate in PEM"),
        ("/dev/null", "holds no certificate in PEM"),
    ],
)
def test_file_without_authorities_is_refused(path: object, why: str) -> None:
    assert why in refusal(ca_file=path)


def test_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_bytes((CERTIFICATES / "authority.pem").read_bytes())

    assert accepted(ca_file="~/ca.pem").ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize("options", [{"ca_file": CERTIFICATE}, {"client_cert": CERTIFICATE}])
def test_certificates_without_tls_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"its URL begins with http://, where no certificate"):
        WebhookSink("http://localhost/", accepted(**options))


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_connect_timeout_that_leaves_no_time_is_refused(timeout: object) -> None:
    assert "connect_timeout" in refusal(connect_timeout=timeout)
