"""One sink at work: its thread, its calls, its cursors.

A lane never makes the publisher wait: all waiting happens on the lane's own thread.
"""

from __future__ import annotations

from streamfan.lane.lane import Lane

__all__ = ["Lane"]
