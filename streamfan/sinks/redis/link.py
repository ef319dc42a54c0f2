"""The way to the servers: where they are, and the connections that lead there.

A connection that has broken does not come back. The next one is made here, and whoever uses it asks first what the
server holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan import embedded
from streamfan.redis.address import LOCAL, Address, find
from streamfan.redis.connection import Connection
from streamfan.redis.errors import NobodyThere, NotRedis
from streamfan.redis.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Mapping

# On this machine a server answers at once, or it has much to do, and is asked again.
_LOCAL_TIMEOUT = 1.0
# A producer must outlive a server that says nothing for half of the default lease: what comes together then are a
# quarter of the lease since it was renewed (see `Heartbeats`), the silence, a try that is in vain, and the rest after
# it.
_TIMEOUT = 2.0


class Link:
    """The way to the server that `target` names; without one, to `$REDIS_URL`, to this machine's, or to one of our own.

    Args:
        target: A URL.
        credentials: `username` and `password`, where the URL's are not to be used.

    Attributes:
        address: None until a server has been found.

    Raises:
        ConfigError: The URL is none.
    """

    def __init__(self, target: str | None, credentials: Mapping[str, str]) -> None:
        self.address = find(target)
        self._credentials = credentials
        self._servers: Servers | None = None

    def find(self) -> None:
        """Decide which server it is; starts one if there is none."""
        if self.address is None:
            self.address = self._local()

    def home(self, key: str) -> Address:
        """Which server `key` lives at; may have to ask."""
        return self._reached().home(key)

    def reach(self, key: str) -> Connection:
        """The connection to the server that `key` lives at; a new one if the last has broken."""
        return self._reached().at(key)

    def close(self) -> None:
        """Hang up."""
        if self._servers is not None:
            self._servers.close()

    def _reached(self) -> Servers:
        if self._servers is None:
            assert self.address is not None, "a lane connects before it opens"
            self._servers = Servers(self.address, self._credentials, timeout=_TIMEOUT, scripts=True)
        return self._servers

    def _local(self) -> Address:
        local = Address(LOCAL)
        try:
            Connection(local, self._credentials, timeout=_LOCAL_TIMEOUT).close()
        except (NobodyThere, NotRedis):
            # Who gives a password means a server that there is.
            return local if self._credentials else Address(embedded.shared().url, "embedded")
        return local
