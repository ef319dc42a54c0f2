"""`streamfan replay`: publish a recording again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import click

from streamfan.cli import console
from streamfan.cli import options as shared
from streamfan.cli.session import Session
from streamfan.config import configure
from streamfan.options import LaneOptions

EPILOG = """
\b
Examples:
  streamfan replay story.jsonl
  streamfan replay story.jsonl --speed 1 --quiet --sink redis
  streamfan replay story-*.jsonl* story.jsonl
  ssh there cat story.jsonl | streamfan replay /dev/stdin
  streamfan replay spilled/20261120-172331-k3f9-1795195411042.jsonl -q -s https://example.org/hook

\b
Exit codes: as for streamfan run. 1 also where the recording lacks some of a stream, and where a stream had failed as it
was recorded: it fails again, whatever is delivered.
"""

# A recording can wait, and there is as much of it at once as was generated in hours.
_PATIENT = LaneOptions(when_full="block")


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@shared.sinks
@click.option(
    "--speed",
    type=click.FloatRange(min=0, max=1_000_000),
    metavar="X",
    help="1 is the recorded rhythm, 2 twice as fast; 0 is all at once, as where it is not given.",
)
@shared.progress
@shared.delivery
def replay(
    files: tuple[str, ...],
    sinks: tuple[str, ...],
    options: tuple[str, ...],
    config: str | None,
    speed: float | None,
    verbose: int,
    **flags: Any,
) -> None:
    """Publish a recording again, to stdout and to every --sink.

    FILE has one event as JSON on each line, as the file sink writes it with format=jsonl, compressed by gzip or not. Of
    several files each goes on where the one before ends. Streams keep their ids, attempts and offsets. A damaged line
    is named and left out; a stream that lacks some of its text for that fails.
    """
    console.log_to_stderr(verbose)
    first, *then = files
    said = [*options, f"source.then={json.dumps(then)}"]
    if speed is not None:
        said.append(f"source.speed={speed}")
    configured = configure(sinks=sinks, options=said, config=config, flags={**flags, "source": f"recording:{first}"})
    patient = tuple(replace(sink, lane=sink.lane.over(_PATIENT)) for sink in configured.sinks)
    sys.exit(Session(replace(configured, sinks=patient), configured.request_for(None)).run())
