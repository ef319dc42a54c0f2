"""`streamfan chat`: a conversation, live on the terminal and at every sink."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli import console
from streamfan.cli import options as shared
from streamfan.cli.asking import Asking, Lines, Prompt
from streamfan.cli.chatting import Chat
from streamfan.cli.conversation import Conversation
from streamfan.cli.markdown import MarkdownSink, is_wanted
from streamfan.config import configure
from streamfan.errors import UsageError

if TYPE_CHECKING:
    from streamfan.config import RunConfig, SinkConfig

EPILOG = """
\b
Examples:
  streamfan chat
  streamfan chat --model HuggingFaceTB/SmolLM2-135M-Instruct --system "Answer in one sentence."
  streamfan chat --sink redis --sink file
  printf 'hello\\nand who are you?\\n' | streamfan chat > answers.txt

\b
Exit codes: as for streamfan run; 1 where a line of a pipe could not be answered.
"""


@click.command(epilog=EPILOG)
@shared.sinks
@shared.generation
@click.option("--system", metavar="TEXT", default="", help="What the model is told before everything else.")
@shared.delivery
def chat(
    sinks: tuple[str, ...], options: tuple[str, ...], config: str | None, verbose: int, system: str, **flags: Any
) -> None:
    """Hold a conversation, live on the terminal and at every --sink.

    At a terminal, /help lists the commands. If standard input is no terminal, each line of it is a question, and stdout
    gets the answers. Each answer is a stream of its own, which knows its conversation and turn.
    """
    console.log_to_stderr(verbose)
    configured = _for_chat(configure(sinks=sinks, options=options, config=config, flags=flags))
    request = replace(configured.request_for(None), messages=())
    sys.exit(Chat(configured, request, _asking(), Conversation(system)).run())


def _asking() -> Asking:
    personal = sys.stdin is not None and sys.stdin.isatty() and console.on_terminal()
    return Prompt() if personal else Lines()


def _for_chat(configured: RunConfig) -> RunConfig:
    source = configured.source
    if "messages" not in source.accepts:
        raise UsageError(
            f"source {source.name!r} cannot hold a conversation\nTry: streamfan run --source {source.name}"
        )
    sinks = tuple(map(_shown, configured.sinks)) if is_wanted() else configured.sinks
    return replace(configured, sinks=sinks, summary=configured.summary or "none")


def _shown(sink: SinkConfig) -> SinkConfig:
    """On a terminal Markdown is shown as what it means, unless the text is wanted as it is."""
    is_raw = getattr(sink.sink.options, "raw", False)
    return replace(sink, sink=MarkdownSink()) if sink.sink.name == MarkdownSink.name and not is_raw else sink
