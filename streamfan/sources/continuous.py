"""Continuous batching of transformers: a stream for each request, and requests join and leave as there is room.

Its manager generates in a thread of its own and tells, for each request, all ids so far; text is made of them here.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from streamfan.detokenize import StopStrings, compile_plan
from streamfan.errors import SourceError
from streamfan.streamer.rows import Row
from streamfan.streamer.specials import SpecialIds
from streamfan.streamer.streamer import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.detokenize.plan import Mode
    from streamfan.sources.prompts import Prompt
    from streamfan.streamer import Opener

_LOOK = 0.1
# How many requests at a time there is memory for on a CPU, where they take turns anyway.
_TOGETHER = 16


class ContinuousBatch:
    """Generates for several prompts at a time.

    Args:
        stop: Texts that end a stream; they are not part of it.
        mode: As for `compile_plan`.
        settings: Arguments of `generate()`; `num_return_sequences` is how many requests each prompt makes.

    Attributes:
        rows: What was begun, by the ids of the streams.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        stop: Sequence[str],
        mode: Mode,
        settings: dict[str, Any],
        seed: int | None = None,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self._model = model
        self._plan = compile_plan(tokenizer, skip_special_tokens=True, mode=mode)
        self._stop = stop
        self._seed = seed
        self._sequences = settings.pop("num_return_sequences", 1)
        self._config = copy.deepcopy(model.generation_config)
        self._unknown = self._config.update(**settings)
        self._specials = SpecialIds.find(model, tokenizer, self._config.eos_token_id, None)
        # As it calls that there are none; it would say so on stderr.
        self._config.eos_token_id = sorted(self._specials.eos) or -1

    def run(self, opener: Opener, prompts: Sequence[Prompt]) -> None:
        """Generate, and return when all streams have ended.

        Raises:
            SourceError: This version of transformers has no such thing, or it does not begin; nothing was published.
        """
        if self._unknown:
            raise SourceError(f"continuous batching does not know {', '.join(map(repr, self._unknown))}")
        try:
            with self._model.continuous_batching_context_manager(
                generation_config=self._config, continuous_batching_config=self._batching(prompts), warmup=False
            ) as manager:
                self._begin(manager, opener, prompts)
                self._follow(manager)
        except BaseException as error:
            for row in self.rows.values():
                row.cut(error)
            raise

    def _batching(self, prompts: Sequence[Prompt]) -> Any:
        from transformers import ContinuousBatchingConfig

        # What it does not know it says then, and does not leave out without a word.
        batching = ContinuousBatchingConfig(drop_unsupported_processors=False, seed=self._seed)
        if self._model.device.type == "cpu":
            # It would take nearly all of the memory, which on an accelerator is there for nothing else.
            longest = max(len(prompt.ids) for prompt in prompts) + self._config.max_new_tokens
            together = min(_TOGETHER, len(prompts) * self._sequences)
            batching.num_blocks = together * (1 + longest // batching.page_size)
        return batching

    def _begin(self, manager: Any, opener: Opener, prompts: Sequence[Prompt]) -> None:
        requests = [prompt for prompt in prompts for _ in range(self._sequences)]
        for number, prompt in enumerate(requests):
            stream = opener.open(model=name_of(self._model), row=number, max_tokens=self._config.max_new_tokens)
            stops = StopStrings(self._stop) if self._stop else None
            self.rows[stream.id] = Row(stream, self._plan.start(prompt.ids), stops, self._specials)
            manager.add_request(list(prompt.ids), request_id=stream.id, streaming=True)

    def _follow(self, manager: Any) -> None:
        seen = dict.fromkeys(self.rows, 0)
        while open_ := {id: row for id, row in self.rows.items() if not row.done}:
            output = manager.get_result(timeout=_LOOK)
            for id, row in open_.items():
                if row.stream.cancelled is not None or row.stream.ended:
                    manager.cancel_request(id)
                    row.end()
            if output is not None:
                row = self.rows[output.request_id]
                _take(output, row, seen)
                if row.done:
                    manager.cancel_request(output.request_id)
            elif not manager.is_running():
                raise SourceError("continuous batching has ended before all its requests")


def _take(output: Any, row: Row, seen: dict[str, int]) -> None:
    """Publish what is new: an output has all ids of its request."""
    new = output.generated_tokens[seen[output.request_id] :]
    seen[output.request_id] += len(new)
    row.put(new)
    if output.error is not None:
        row.cut(SourceError(str(output.error)))
    elif output.is_finished():
        row.end()
