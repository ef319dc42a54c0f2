"""What `generate()` puts, turned into streams: the streamer, one run of it, its rows, and their special ids."""

from __future__ import annotations

from streamfan.streamer.streamer import Opener, Streamer

__all__ = ["Opener", "Streamer"]
