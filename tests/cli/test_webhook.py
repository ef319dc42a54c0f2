"""The webhook sink on the command line: what is mistyped is exit code 2, at once and without any secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.receiver import CERTIFICATES, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Shell

HOOK = "https://localhost/hook"
HIDDEN = "hunter2-hunter2"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-s", "webhook:localhost/hook"], "begins with neither http:// nor https://"),
        (["-s", "https://256.0.0.1/"], "has a host or a port that cannot be read"),
        (["-s", f"https://user:{HIDDEN}@localhost/"], "holds a user name or password"),
        (["-s", HOOK, "-o", f"webhook.secret={HIDDEN}"], "option 'secret' (-o webhook.secret): not a signing secret"),
        (
            ["-s", HOOK, "-o", "webhook.bearer_token=two words"],
            "option 'bearer_token' (-o webhook.bearer_token): not",
        ),
        (["-s", HOOK, "-o", 'webhook.bearer_token={"env":"NOBODY"}'], "environment variable 'NOBODY' is not set"),
        (["-s", HOOK, "-o", 'webhook.headers={"Host": "elsewhere"}'], "header 'Host' is not yours to set"),
        (
            ["-s", HOOK, "-o", f'webhook.headers={{"X-Key": "{HIDDEN}\\n"}}'],
            "value of header 'X-Key' cannot be sent",
        ),
        (["-s", HOOK, "-o", "webhook.headers=X-Key: value"], "input should be a table in JSON"),
        (
            ["-s", HOOK, "-o", "webhook.ca_file=/nowhere.pem"],
            "'ca_file' (-o webhook.ca_file): file '/nowhere.pem'",
        ),
        (["-s", HOOK, "-o", f"webhook.client_cert={CERTIFICATES / 'client.crt'}"], "give the key's file as client_key"),
        (["-s", HOOK, "-o", "webhook.connect_timeout=soon"], "not a duration: 'soon'"),
        (["-s", HOOK, "-o", "webhook.previous_secret=whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"], "needs secret"),
        (["-s", "http://localhost/", "-o", f"webhook.ca_file={CERTIFICATES / 'authority.pem'}"], "begins with http://"),
    ],
)
def test_what_is_mistyped_is_exit_code_2(shell: Shell, arguments: list[str], why: str) -> None:
    done = shell.stdin("text", *arguments)

    assert done.code == 2, done
    assert why in done.stderr
    assert "Try: " in done.stderr
    assert HIDDEN not in done.stderr
    assert done.stdout == b""


def test_address_that_nothing_is_sent_to_is_exit_code_4(shell: Shell, receiver: Receiver) -> None:
    done = shell.stdin("text", "-s", receiver.url, "-o", "webhook.public_only=true")

    assert done.code == 4, done
    assert "is not a public address" in done.stderr
    assert receiver.connections == 0


def test_headers_and_token_come_from_the_environment(shell: Shell, receiver: Receiver) -> None:
    options = ("-o", 'webhook.headers={"X-Key": {"env": "API_KEY"}}', "-o", 'webhook.bearer_token={"env": "TOKEN"}')

    done = shell.stdin("text", "-s", receiver.url, *options, env={"API_KEY": HIDDEN, "TOKEN": "t0ken"})

    assert done.code == 0, done
    assert {posted.headers["x-key"] for posted in receiver.posted} == {HIDDEN}
    assert {posted.headers["authorization"] for posted in receiver.posted} == {"Bearer t0ken"}
    assert HIDDEN not in done.stderr


def test_page_of_the_sink_explains_every_option(shell: Shell) -> None:
    done = shell.run("sinks", "webhook")

    assert "  ca_file              path, no default, $STREAMFAN_WEBHOOK_CA_FILE" in done.stdout.decode()
    assert "  headers              table, no default" in done.stdout.decode()
    assert "  public_only          boolean, default false" in done.stdout.decode()
