"""The `webhook` sink."""

from __future__ import annotations

from streamfan.sinks.webhook.sink import WebhookOptions, WebhookSink, streamfan_sinks

__all__ = ["WebhookOptions", "WebhookSink", "streamfan_sinks"]
