"""A name server whose answers a test writes down."""

from __future__ import annotations

import socket
from typing import Any


class Names:
    """The next answer for each question about a name, the last one for ever; use it in place of `socket.getaddrinfo`.

    An address is its own answer, and connecting to one asks for it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        self._resolve = socket.getaddrinfo

    def tell(self, host: str, *answers: list[str]) -> None:
        """Answer so when somebody asks for `host`."""
        self._answers[host] = list(answers)

    def getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        """What the system's function does."""
        self.asked.append(host)
        if host not in self._answers:
            return self._resolve(host, port, *args, **kwargs)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in addresses for found in self._resolve(address, port, *args, **kwargs)]
