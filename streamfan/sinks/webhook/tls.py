"""TLS as the options want it: whom to trust, and who this side is. Verification cannot be switched off."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_PASSWORD = 1024


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A context that trusts the authorities in `ca_file`, and no others.

    Raises:
        ValueError: There are none in it.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ValueError(f"file {str(ca_file)!r} holds no certificate in PEM") from None
    except OSError as error:
        raise ValueError(f"file {str(ca_file)!r} cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, and the key that shows that it is one's own.

    Attributes:
        key: None where the file of the certificate holds it.
        password: None where the key is not encrypted.
    """

    certificate: Path
    key: Path | None = None
    password: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Find out whether it can be used.

        Raises:
            ValueError: It cannot; the text says why, and quotes nothing of the files.
        """
        self.take_in(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def take_in(self, context: ssl.SSLContext) -> None:
        """Let `context` show it to whoever asks; raises what `check` raises."""
        for path in (self.certificate, self.key):
            _check_readable(path)
        try:
            context.load_cert_chain(self.certificate, self.key, self._unlock)
        except ssl.SSLError as error:
            raise ValueError(self._explained(error)) from None

    def _unlock(self) -> str:
        # Asked only for a key that is encrypted. Without an answer OpenSSL would ask on the terminal, and wait.
        if self.password is None:
            raise ValueError("the key of client_cert is encrypted, and client_key_password is not given")
        if len(self.password.encode()) > _LONGEST_PASSWORD:
            raise ValueError(f"client_key_password is longer than {_LONGEST_PASSWORD} bytes")
        return self.password

    def _explained(self, error: ssl.SSLError) -> str:
        where = f"client_cert {str(self.certificate)!r}"
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{where}: the key belongs to another certificate"
        missing = "" if self.key else ", or give the key's file as client_key"
        wrong = "" if self.password is None else ", or client_key_password is wrong"
        return f"{where}: no certificate with its key in PEM{missing}{wrong}"


def _check_readable(path: Path | None) -> None:
    # Before OpenSSL does, whose errors do not say which of the files they are about.
    if path is None:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"file {str(path)!r} cannot be read: {error.strerror}") from None
