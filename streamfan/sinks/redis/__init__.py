"""The `redis` sink."""

from __future__ import annotations

from streamfan.sinks.redis.sink import RedisOptions, RedisSink, streamfan_sinks

__all__ = ["RedisOptions", "RedisSink", "streamfan_sinks"]
