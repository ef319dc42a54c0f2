"""Signatures of requests, made by the official library of Standard Webhooks: one for each key.

While a key is being replaced there are two, so that receivers that know either one are content.

Source: the Standard Webhooks specification, version 1.0.0, https://www.standardwebhooks.com
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from standardwebhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from streamfan.sinks.webhook.messages import Message


class Signer:
    """Signs with every one of some keys.

    Args:
        secrets: The keys as they are written: whsec_ and base64.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._keys = tuple(map(Webhook, secrets))

    def sign(self, message: Message, at: datetime) -> str:
        """The value of the header `webhook-signature`.

        Args:
            at: Now, in UTC: the library takes what any other clock shows for UTC.
        """
        # The text and not its bytes: the library would sign their Python notation.
        text = message.body.decode()
        return " ".join(key.sign(message.id, at, text) for key in self._keys)
