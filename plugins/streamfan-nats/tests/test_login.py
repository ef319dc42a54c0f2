"""Who may log in where, and that no password is shown or sent where it should not be."""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from nacl.signing import SigningKey

from streamfan import ConfigError, Permanent, Retryable
from streamfan_nats import NatsOptions, NatsSink
from streamfan_nats.address import addresses
from tests.support.proxy import CuttingProxy
from tests.support.publishing import publish
from tests.support.reader import text
from tests.support.server import NatsServer, free_port

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t, with/odd?characters"
QUOTED = "s3cr3t%2C%20with%2Fodd%3Fcharacters"


def refusal(sink: NatsSink) -> str:
    """What `connect` says that fails for good."""
    with pytest.raises(Permanent) as raised:
        sink.connect()
    sink.disconnect()
    return str(raised.value)


def connects(sink: NatsSink) -> bool:
    try:
        sink.connect()
    finally:
        sink.disconnect()
    return True


def test_user_and_password_come_from_the_url_or_the_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with NatsServer(f"authorization {{ user: me, password: {json.dumps(SECRET)} }}") as server:
        address = server.url.removeprefix("nats://")
        assert connects(NatsSink(f"nats://me:{QUOTED}@{address}"))
        for password in (SECRET, {"env": "SECRET"}, {"file": str(tmp_path / "secret")}):
            options = NatsOptions.model_validate({"user": "me", "password": password})
            assert connects(NatsSink(f"nats://somebody:else@{address}", options))


def test_token_comes_from_the_url_or_the_options() -> None:
    with NatsServer(f"authorization {{ token: {json.dumps(SECRET)} }}") as server:
        assert connects(NatsSink(server.url.replace("//", f"//{QUOTED}@")))
        assert connects(NatsSink(server.url, NatsOptions.model_validate({"token": SECRET})))


def test_wrong_password_is_refused_for_good_and_not_shown() -> None:
    with NatsServer("authorization { user: me, password: right }") as server:
        sink = NatsSink(server.url.replace("//", f"//me:{QUOTED}@"))

        said = refusal(sink)

        assert "Authorization Violation" in said
        assert "s3cr3t" not in f"{said} {sink.label} {sink!r}"


def test_missing_permission_is_refused_at_once_and_in_words() -> None:
    with NatsServer('authorization { users: [{user: me, password: it, permissions: {publish: "a"}}] }') as server:
        url = server.url.replace("//", "//me:it@")
        assert "permissions violation for publish" in refusal(NatsSink(url)).lower()

        done = publish(NatsSink(url, NatsOptions(mode="core")), words=["x"])

        (failure,) = done.report.failures
        assert "permissions violation for publish" in str(failure).lower()


def test_permissions_of_the_readme_are_enough() -> None:
    allowed = (
        'publish: ["streamfan.>", "$JS.API.STREAM.INFO.STREAMFAN", "$JS.API.STREAM.NAMES",'
        ' "$JS.API.STREAM.MSG.GET.STREAMFAN", "$JS.API.STREAM.CREATE.STREAMFAN"], subscribe: ["_INBOX.>"]'
    )
    users = (
        f"{{user: me, password: it, permissions: {{{allowed}}}}}",
        "{user: reader, password: it}",
    )
    with NatsServer(f"authorization {{ users: [{', '.join(users)}] }}") as server:
        for _ in range(2):
            done = publish(NatsSink(server.url.replace("//", "//me:it@")))

            done.report.raise_for_failures()
            assert text(server.url.replace("//", "//reader:it@"), done.subject) == done.text


def test_server_without_jetstream_is_named() -> None:
    with NatsServer(jetstream=False) as server:
        sink = NatsSink(server.url)
        with pytest.raises(Retryable, match="no JetStream answers") as raised:
            sink.connect()
        sink.disconnect()

    assert "mode core" in str(raised.value)


def test_nobody_there_may_pass() -> None:
    sink = NatsSink(f"nats://127.0.0.1:{free_port()}")

    with pytest.raises(Retryable, match="Connect call failed"):
        sink.connect()
    sink.disconnect()


def test_another_server_takes_over_where_one_is_gone(server: NatsServer) -> None:
    done = publish(NatsSink(f"nats://127.0.0.1:{free_port()},{server.url}"))

    done.report.raise_for_failures()
    assert text(server.url, done.subject) == done.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("scheme", ["nats", "tls"])
def test_text_arrives_over_tls(certificate: Path, scheme: str) -> None:
    with NatsServer(tls(certificate)) as server:
        url = server.url.replace("nats:", f"{scheme}:")

        publish(NatsSink(url, NatsOptions(tls_ca=certificate / "certificate.pem"))).report.raise_for_failures()

        assert "certificate verify failed" in refusal(NatsSink(url))


def test_client_shows_its_own_certificate(certificate: Path) -> None:
    file = certificate / "certificate.pem"
    with NatsServer(tls(certificate, f', ca_file: "{file}", verify: true')) as server:
        assert connects(NatsSink(server.url, NatsOptions(tls_ca=file, tls_cert=file, tls_key=certificate / "key.pem")))
        with pytest.raises(Retryable):
            connects(NatsSink(server.url, NatsOptions(tls_ca=file)))


def tls(certificate: Path, more: str = "") -> str:
    """The configuration of a server that has a certificate."""
    files = f'cert_file: "{certificate}/certificate.pem", key_file: "{certificate}/key.pem"'
    return f"tls {{ {files}{more} }}"


@pytest.mark.parametrize("credentials", [{}, {"token": SECRET}, {"user": "me", "password": SECRET}])
def test_nothing_is_sent_in_the_clear_where_the_url_is_tls(server: NatsServer, credentials: dict[str, Any]) -> None:
    """Whoever sits between says that there is no TLS."""
    with CuttingProxy(server.port) as proxy:
        url = proxy.url.replace("nats:", "tls:")
        sinks = [NatsSink(url, NatsOptions.model_validate(credentials))]
        if "password" in credentials:
            sinks.append(NatsSink(url.replace("//", f"//me:{QUOTED}@")))
        for sink in sinks:
            assert "offers no TLS" in refusal(sink)

        assert b"s3cr3t" not in proxy.requests


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "nats://",
        "nats://host:port",
        "nats://host:0",
        "nats://host:99999",
        "nats://host/path",
        "nats://me:s3cr/3t@host",
        "nats://me:s3cr?3t@host",
        "nats://me:s3cr,3t@host",
        "nats://me:s3cr[3t@host",
        "nats://host,",
    ],
)
def test_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="Try: nats://") as raised:
        NatsSink(url)

    assert "s3cr" not in str(raised.value)
    assert "3t" not in str(raised.value)


def test_servers_share_what_the_first_url_says_to_log_in_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", "tls://me:it@a,b:1,nats://you:that@[::1]:2")

    found = addresses(None)

    assert [each.url for each in found] == ["tls://a:4222", "tls://b:1", "nats://[::1]:2"]
    assert [(each.user, each.password) for each in found] == [("me", "it"), ("me", "it"), ("you", "that")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "core", "stream": "X"}, "stream needs mode jetstream"),
        ({"user": "me"}, "user and password need each other"),
        ({"token": "a", "creds": "b"}, "give one"),
        ({"tls_key": "a"}, "tls_key needs tls_cert"),
        ({"max_age": "1s", "duplicate_window": "2s"}, "longer than max_age"),
        ({"prefix": "a.*"}, "prefix"),
        ({"prefix": "$JS"}, "prefix"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NatsOptions.model_validate(options)


def test_file_that_cannot_be_used_is_named(server: NatsServer) -> None:
    assert "tls_ca" in refusal(NatsSink(server.url, NatsOptions.model_validate({"tls_ca": "/nowhere"})))


class Identity:
    """An operator, account or user of NATS: a key that signs tokens.

    Source: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt
    """

    def __init__(self, prefix: int) -> None:
        self._key = SigningKey.generate()
        raw = bytes([prefix]) + bytes(self._key.verify_key)
        self.name = base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")
        # Two bytes hold "seed" and whose it is.
        seed = bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) + bytes(self._key)
        self.seed = base64.b32encode(seed + _checksum(seed)).decode().rstrip("=")

    def says(self, subject: Identity, claims: dict[str, Any]) -> str:
        """A token of this identity about another."""
        body = {"jti": "x", "iat": 1, "iss": self.name, "name": "x", "sub": subject.name, "nats": claims}
        signed = ".".join(_encoded(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        return f"{signed}.{_encoded(self._key.sign(signed.encode()).signature)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _checksum(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")


def test_credentials_file_logs_in(tmp_path: Path) -> None:
    operator, account, user = Identity(14 << 3), Identity(0), Identity(20 << 3)
    limits = {"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1}
    names = {
        "operator": operator.says(operator, {"type": "operator", "version": 2}),
        "account": operator.says(account, {"type": "account", "version": 2, "limits": {**limits, "wildcards": True}}),
    }
    token = account.says(user, {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1})
    file = tmp_path / "producer.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    resolver = f"resolver: MEMORY\nresolver_preload: {{ {account.name}: {names['account']} }}"
    with NatsServer(f"operator: {names['operator']}", resolver, jetstream=False) as server:
        options = {"mode": "core", "creds": {"file": str(file)}}

        assert connects(NatsSink(server.url, NatsOptions.model_validate(options)))
        assert "Authorization Violation" in refusal(NatsSink(server.url, NatsOptions(mode="core")))
