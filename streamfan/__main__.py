"""`python -m streamfan` is `streamfan`, and this is where both begin."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the program; from here on Ctrl-C ends it quietly, also while the rest is still being imported."""
    try:
        from streamfan.cli import main

        main(prog_name="streamfan")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
