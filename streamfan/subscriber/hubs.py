"""The hubs of this process: one for each Redis and prefix, shared by all that read there."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeVar

from streamfan.subscriber.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamfan.redis.address import Address

T = TypeVar("T")
_lock = threading.Lock()
_hubs: dict[tuple[str, str], Hub] = {}


def use(address: Address, prefix: str, order: Callable[[Hub], T]) -> tuple[Hub, T]:
    """Give the hub of this process an order, starting it where there is none; and what `order` has returned."""
    key = (address.url, prefix)
    # While this is held no hub ends: one that has an order stays.
    with _lock:
        hub = _hubs.get(key)
        if hub is None:
            hub = _hubs[key] = Hub(address, prefix, _leave)
        return hub, order(hub)


def _leave(hub: Hub) -> bool:
    """Whether `hub` may end: nobody has given it an order in the meantime."""
    with _lock:
        if hub.has_orders:
            return False
        for key in [key for key, other in _hubs.items() if other is hub]:
            del _hubs[key]
        return True


def _forget() -> None:
    """A forked child has no hubs: their threads are its parent's."""
    global _lock
    _lock = threading.Lock()
    _hubs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
