"""What starting costs: `streamfan --help` and `import streamfan` beside `python -c "import click"`, in one run.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "import streamfan": [sys.executable, "-c", "import streamfan"],
    "streamfan --help": [sys.executable, "-m", "streamfan", "--help"],
}
ROUNDS = 15


def main() -> None:
    """Measure, and print the ratios."""
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}
    # In turns, so that whatever else the machine is doing meets all of them.
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            spent[name].append(time.perf_counter() - begun)
    base = statistics.median(spent["import click"])
    for name, times in spent.items():
        median = statistics.median(times)
        print(f"{name:18} {median * 1000:7.1f} ms   x{median / base:.2f}")


if __name__ == "__main__":
    main()
