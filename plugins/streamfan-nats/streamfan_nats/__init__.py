"""The `nats` sink: streams as subjects of NATS, kept by JetStream or only published."""

from __future__ import annotations

from streamfan_nats.options import NatsOptions
from streamfan_nats.sink import NatsSink, streamfan_sinks

__all__ = ["NatsOptions", "NatsSink", "streamfan_sinks"]
