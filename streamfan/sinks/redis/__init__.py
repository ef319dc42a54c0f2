"""The `redis` sink."""

from __future__ import annotations

from streamfan.sinks.redis.options import RedisOptions
from streamfan.sinks.redis.sink import RedisSink, streamfan_sinks

__all__ = ["RedisOptions", "RedisSink", "streamfan_sinks"]
