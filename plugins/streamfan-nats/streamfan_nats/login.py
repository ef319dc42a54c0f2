"""What a connection shows of itself: user, token or credentials, and what it trusts."""

from __future__ import annotations

import ssl
from collections import UserString
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from streamfan import Permanent

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan_nats.address import Address
    from streamfan_nats.options import NatsOptions


class Login:
    """How to log in at one server, for one connection.

    Raises:
        Permanent: A file that the options name cannot be used.
    """

    def __init__(self, address: Address, options: NatsOptions) -> None:
        self._address = address
        self._options = options
        # A new one for each connection: its statistics say whether this one is encrypted.
        self._context = _context(options)

    @property
    def arguments(self) -> dict[str, Any]:
        """What nats-py's `connect` takes of it."""
        options, address = self._options, self._address
        found: dict[str, Any] = {"tls": self._context}
        if options.creds is not None:
            _need_nkeys()
            return {**found, "user_credentials": UserString(options.creds.get_secret_value())}
        if options.password is not None:
            return {**found, **self._user(options.user or "", options.password.get_secret_value())}
        if options.token is not None:
            return {**found, "token": self._guarded(options.token.get_secret_value())}
        if address.user is not None and address.password is None:
            return {**found, "token": self._guarded(address.user)}
        if address.password is not None:
            return {**found, **self._user(address.user or "", address.password)}
        return found

    def check(self) -> None:
        """Refuse a connection in the clear where the URL is tls://.

        nats-py leaves it to the server to say whether there is TLS, so anybody who answers in its place could say no.
        """
        if self._address.tls and not self._context.session_stats()["connect_good"]:
            raise Permanent(f"NATS at {self._address.url}: the server offers no TLS, and the URL asks for it")

    def _user(self, user: str, password: str) -> dict[str, Callable[[], str]]:
        return {"user": self._guarded(user), "password": self._guarded(password)}

    def _guarded(self, secret: str) -> Callable[[], str]:
        """Gives `secret`, which nats-py asks for last: when it is known whether the connection is encrypted."""

        def give() -> str:
            self.check()
            return secret

        return give


def _context(options: NatsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.tls_ca)
        if options.tls_cert is not None:
            context.load_cert_chain(options.tls_cert, options.tls_key)
    except OSError as error:
        raise Permanent(f"the files of tls_ca, tls_cert or tls_key cannot be used: {error}") from error
    return context


def _need_nkeys() -> None:
    # nats-py imports it when it is too late for a good message.
    if find_spec("nkeys") is None:
        raise Permanent("option creds needs nkeys, which is not installed\nTry: pip install 'streamfan-nats[creds]'")
