"""The official client as the judge of what the tests' server sends: what we read, it reads too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tests.support.dialects import DIALECT_TEXT, DIALECTS, HOSTILE, chat
from tests.support.model_server import dropped, streamed, until_closed
from tests.support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.receiver import Reply

# Where it is wrong, by the facts that this source was written from: it takes for a success what was cut off, loses an
# event to a byte order mark and the last one to a missing blank line, and gives up on control characters and on
# an event without data.
_WRONG = {
    "parts of content",
    "control characters inside JSON",
    "byte order mark",
    "events without data",
    "last event without a blank line",
    "an answer that came whole",
    "refusal",
}
_GOOD = [name for name, played in HOSTILE.items() if played.error is None and name not in _WRONG]


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def read(server: Receiver, reply: Reply) -> str:
    """The text by the official client, of the first choice."""
    server.script(reply)
    text = ""
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client:
        messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
        with client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
            for chunk in chunks:
                for choice in chunk.choices or []:
                    # Whatever its types say, it gives what the server gave.
                    content = getattr(choice.delta, "content", None)
                    text += content or "" if choice.index in {0, None} else ""
    return text


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_one(server: Receiver, name: str) -> None:
    assert read(server, (until_closed if name == "mlx-lm" else streamed)(DIALECTS[name])) == DIALECT_TEXT


@pytest.mark.parametrize("name", _GOOD)
def test_what_we_can_read_it_can_read(server: Receiver, name: str) -> None:
    assert read(server, streamed(HOSTILE[name].body, size=5)) == HOSTILE[name].text


def test_what_breaks_is_broken(server: Receiver) -> None:
    with pytest.raises(openai.APIConnectionError):
        read(server, dropped(chat("Hel", finish=None, done=False)))
