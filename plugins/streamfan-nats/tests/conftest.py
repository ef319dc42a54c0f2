"""Servers and proxies that the tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import CuttingProxy
from tests.support.server import NatsServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def server() -> Iterator[NatsServer]:
    """One that is left running."""
    with NatsServer() as server:
        yield server


@pytest.fixture
def proxy(server: NatsServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def mortal() -> Iterator[NatsServer]:
    """One that a test may kill."""
    with NatsServer() as server:
        yield server
