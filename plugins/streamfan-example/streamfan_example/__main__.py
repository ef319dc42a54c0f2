"""The collector as a program: `python -m streamfan_example --help`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from streamfan_example.collector import Collector
from streamfan_example.target import DEFAULT, parse


def main() -> None:
    """Listen until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m streamfan_example", description="Keep streams, in files.")
    parser.add_argument("--listen", metavar="HOST:PORT", default=DEFAULT, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files go (default: here)")
    arguments = parser.parse_args()
    # Not an argument, which everybody on the machine can read. The sink takes its own from the same place.
    token = os.environ.get("STREAMFAN_EXAMPLE_TOKEN")
    with Collector(parse(arguments.listen), arguments.folder, token) as collector:
        print(f"collecting in {arguments.folder}, listening on {arguments.listen}", flush=True)
        try:
            collector.serve_forever()
        except KeyboardInterrupt:
            print("done")


if __name__ == "__main__":
    main()
