"""The `webhook` sink."""

from __future__ import annotations

from streamfan.sinks.webhook.options import WebhookOptions
from streamfan.sinks.webhook.sink import WebhookSink, streamfan_sinks

__all__ = ["WebhookOptions", "WebhookSink", "streamfan_sinks"]
