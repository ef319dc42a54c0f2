"""`python -m streamfan` is `streamfan`."""

from __future__ import annotations

from streamfan.cli import main

main(prog_name="streamfan")
