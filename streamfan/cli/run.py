"""`streamfan run`: generate once, to any number of sinks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from streamfan.cli import console
from streamfan.cli import options as shared
from streamfan.cli.session import Session
from streamfan.config import RunConfig, configure
from streamfan.errors import UsageError
from streamfan.events import check_stream_id
from streamfan.fan import Fan

if TYPE_CHECKING:
    from streamfan.stream import Stream

# More than any model takes, and less than what endless input takes of the memory.
_LONGEST_PROMPT = 16 << 20

EPILOG = """
\b
Examples:
  streamfan run "Once upon a time"
  streamfan run "Once upon a time" --sink file --sink redis
  streamfan run --chat "A story about a fox" -s https://example.org/hook
  streamfan run "A story" -s a=file:a.txt -s b=file:b.jsonl
  streamfan run --prompts prompts.txt --sink "file:{stream}.txt" -o source.top_p=0.9
  echo "Once upon a time" | streamfan run --model ./my-model
  streamfan run "A story" --source openai:http://localhost:8000 --model my-model
  some-program | streamfan run --source stdin --sink redis --id nightly

\b
Exit codes:
  0  every required sink was given everything
  1  the generation failed
  2  usage or configuration
  3  a required sink failed, lost text or was late
  4  a required sink could not be reached at the start
  130, 143  interrupted, terminated
  141  every output was closed by its reader
"""


class Naming(Fan):
    """A fan that gives its one stream an id, and what goes beside it, as reasoning does, one that follows from it."""

    def __init__(self, id: str) -> None:
        check_stream_id(id)
        super().__init__()
        self._id = id
        self._named: Stream | None = None

    def open(self, id: str | None = None, *, meta: dict[str, Any] | None = None, **more: Any) -> Stream:
        """Open the stream; see `Fan.open`.

        Raises:
            UsageError: It is not the only one, or has an id of its own.
        """
        if self._named is None and id is None:
            self._named = super().open(self._id, meta=meta, **more)
            return self._named
        if self._named is None or (meta or {}).get("of") != self._id:
            raise UsageError(f"--id {self._id} is one stream's id, and there are several here\nTry: leave --id out")
        return super().open(id, meta=meta, **more)


class RunCommand(click.Command):
    """A command whose first argument is prose, which may well begin with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and say what to do about a prompt that looks like an option."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = f"{error.format_message()}\nIf that begins the prompt, put -- before it: streamfan run -- PROMPT"
            raise click.NoSuchOption(error.option_name, hint, ctx=ctx) from None


@click.command(cls=RunCommand, epilog=EPILOG)
@click.argument("prompt", required=False)
@shared.sinks
@shared.generation
@click.option("--prompts", metavar="FILE", help="Several prompts, one a line; each becomes a stream.")
@click.option("--id", "stream_id", metavar="ID", help="The id of the one stream; given again, it is its next attempt.")
@click.option("--chat/--no-chat", default=None, help="Put the prompt through the model's chat template.")
@shared.progress
@shared.delivery
def run(
    prompt: str | None,
    sinks: tuple[str, ...],
    options: tuple[str, ...],
    config: str | None,
    verbose: int,
    stream_id: str | None,
    **flags: Any,
) -> None:
    """Generate text from PROMPT, live, to stdout and to every --sink.

    PROMPT is read from standard input if it is -, or if it is left out and standard input is no terminal.
    """
    console.log_to_stderr(verbose)
    configured = configure(sinks=sinks, options=options, config=config, flags=flags)
    request = configured.request_for(_prompt(prompt, configured))
    fan = Fan() if stream_id is None else _naming(stream_id, configured)
    sys.exit(Session(configured, request, fan).run())


def _naming(id: str, configured: RunConfig) -> Fan:
    several = [
        name
        for name in ("n", "num_return_sequences", "split")
        if getattr(configured.source.options, name, None) not in {None, 1}
    ]
    if configured.request.prompts or several:
        what = f"source.{several[0]}" if several else "--prompts"
        raise UsageError(f"--id {id} is one stream's id, and {what} makes several\nTry: one of the two")
    return Naming(id)


def _prompt(given: str | None, configured: RunConfig) -> str | None:
    """The prompt from the argument or from standard input; None where the source takes none."""
    if given is None and (configured.request.prompts or "prompt" not in configured.source.accepts):
        return None
    if configured.request.prompts:
        raise UsageError("there are a prompt and --prompts\nTry: one of them")
    if given in {None, "-"}:
        if sys.stdin is None or (given is None and sys.stdin.isatty()):
            raise UsageError('there is no prompt\nTry: streamfan run "Once upon a time"')
        given = _read_prompt()
    assert given is not None, "read by now"
    if not given.strip():
        raise UsageError('the prompt is empty\nTry: streamfan run "Once upon a time"')
    return given


def _read_prompt() -> str:
    if sys.stdin.isatty():
        console.say("streamfan: type the prompt; Ctrl-D on a line of its own ends it")
    try:
        data = sys.stdin.buffer.read(_LONGEST_PROMPT + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"the prompt cannot be read from standard input: {error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt on standard input is not UTF-8, at byte {error.start}") from None
    if len(data) > _LONGEST_PROMPT:
        raise UsageError(f"the prompt on standard input is longer than {_LONGEST_PROMPT >> 20} MiB")
    # `echo` and editors end a text with a newline that nobody means.
    return text.removesuffix("\n").removesuffix("\r")
