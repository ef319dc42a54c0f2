"""`streamfan check`: whether a run would get as far as its model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli import console
from streamfan.cli import options as shared
from streamfan.config import configure
from streamfan.fan import Fan
from streamfan.terminal import visible

if TYPE_CHECKING:
    from streamfan.report import SinkReport

_NOT_REACHED = 4

EPILOG = """
\b
Examples:
  streamfan check --sink file --sink redis://localhost/0
  streamfan check --config streamfan.toml

\b
Exit codes:
  0  every required sink was reached
  2  usage or configuration
  4  a required sink was not reached
"""


@click.command(epilog=EPILOG)
@shared.sinks
@click.option("--source", metavar="NAME[:TARGET]", help="As for run; its options are looked at, and nothing is loaded.")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for everything.")
def check(sinks: tuple[str, ...], options: tuple[str, ...], config: str | None, verbose: int, **flags: Any) -> None:
    """Parse, load and connect every configured sink, without loading a model."""
    console.log_to_stderr(verbose)
    configured = configure(sinks=sinks, options=options, config=config, flags=flags)
    with Fan() as fan:
        for sink in configured.sinks:
            fan.add(sink.sink, id=sink.id, lane=sink.lane)
        with console.waiting("connecting"):
            unreached = {report.id: report for report in fan.reach()}
        for report in fan.report.sinks:
            _say(unreached.get(report.id), report)
        fan.close(timeout=0)
    sys.exit(_NOT_REACHED if any(report.required for report in unreached.values()) else 0)


def _say(unreached: SinkReport | None, report: SinkReport) -> None:
    if unreached is None:
        where = f" at {report.target}" if report.target else ""
        click.echo(visible(f"sink {report.id!r}{where}: reached"))
    else:
        console.say(f"{'Error' if report.required else 'Warning'}: {unreached}")
