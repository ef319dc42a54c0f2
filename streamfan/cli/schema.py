"""`streamfan schema`: the JSON Schema of streamfan.toml, for editors."""

from __future__ import annotations

import json

import click

EPILOG = """
\b
Examples:
  streamfan schema > streamfan.schema.json
Then, as the first line of streamfan.toml:
  #:schema ./streamfan.schema.json
"""


@click.command(epilog=EPILOG)
def schema() -> None:
    """Print the JSON Schema of streamfan.toml, for the sinks that are installed."""
    from streamfan.config.schema import schema as made

    click.echo(json.dumps(made(), indent=2, ensure_ascii=False))
