"""The `nats` sink: streams as subjects of NATS, kept by JetStream or only published."""

from __future__ import annotations

from streamfan import Sink, hookimpl
from streamfan_nats.options import NatsOptions
from streamfan_nats.sink import NatsSink

__all__ = ["NatsOptions", "NatsSink", "streamfan_sinks"]


@hookimpl
def streamfan_sinks() -> list[type[Sink]]:
    """Give streamfan the sinks of this module."""
    return [NatsSink]
