"""What the tests of the webhook sink have in common."""

from __future__ import annotations

import base64
from collections.abc import Callable

from streamfan.sinks.webhook import WebhookSink

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()

Make = Callable[..., WebhookSink]
"""Makes a connected sink: `make(url, **options)`, where the URL is that of the test's receiver unless given."""
