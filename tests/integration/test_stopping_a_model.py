"""A subscriber stops a model whose tokens flow: how soon, and who is told what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan, subscribe
from streamfan.demo import PATH
from streamfan.events import Cancellation
from tests.support.followers import Follower
from tests.support.redis_sinks import log_of, text_of
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

# More than the model makes while a test runs, and what a reader would call a few.
MANY, FEW = 2000, 50


def test_a_model_stops_within_a_few_tokens_and_all_are_told_why_and_by_whom(
    server: RedisServer, tmp_path: Path
) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(PATH), AutoModelForCausalLM.from_pretrained(PATH)
    file = tmp_path / "events.jsonl"
    with Fan() as fan:
        fan.add(server.url, control=True)
        fan.add(f"file:{file}", format="jsonl")
        generation = fan.start(model, tokenizer, "Once upon a time", min_new_tokens=MANY, max_new_tokens=MANY)
        wait_until(lambda: generation.streams)
        (stream,) = generation.streams
        with subscribe(server.url, stream.id, wait=20) as subscription, Follower(server.url, stream.id) as other:
            read = next(subscription)
            wait_until(lambda: stream.tokens > FEW)

            asked = subscription.cancel("seen enough", by="ann")
            then = stream.tokens
            read += "".join(subscription)

            assert asked
            assert subscription.outcome is not None
            assert then < subscription.outcome.tokens <= then + FEW
            assert other.join() == read

    events = [event for _, event in log_of(server.client, stream.id)]
    told = {"reason": "seen enough", "by": "ann"}
    assert subscription.outcome.cancel == Cancellation(**told)
    assert other.outcome == subscription.outcome
    for end in (events[-1], json.loads(file.read_text(encoding="utf-8").splitlines()[-1])):
        assert (end["type"], end["finish_reason"], end["cancel"]) == ("end", "cancelled", told)
    assert text_of(server.client, stream.id) == read
    assert [sink.complete for sink in fan.report.sinks] == [1, 1]
