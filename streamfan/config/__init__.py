"""What to run, from defaults, a TOML file, the environment and the command line, in this order of precedence.

Nothing here connects, opens or loads a model: a mistake in what was said costs nothing.
"""

from __future__ import annotations

from streamfan.config.options import RunOptions, Summary
from streamfan.config.run import RunConfig, configure
from streamfan.config.sinks import SinkConfig

__all__ = ["RunConfig", "RunOptions", "SinkConfig", "Summary", "configure"]
