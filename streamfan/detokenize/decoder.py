"""Reads the decoder of a fast tokenizer: which steps it has, and whether each of them is understood.

Whatever is not understood to the letter is not guessed at: then there is no pipeline, and text comes from `decode`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamfan.detokenize.metaspace import Metaspace
from streamfan.detokenize.steps import Replace, Spaced, Step, Strip
from streamfan.detokenize.wordpiece import WordPiece

if TYPE_CHECKING:
    from collections.abc import Iterator

    Spec = dict[str, Any]

# A field that is not here could change the text.
_FIELDS = {
    "ByteFallback": frozenset[str](),
    "ByteLevel": frozenset({"add_prefix_space", "trim_offsets", "use_regex"}),
    "Fuse": frozenset[str](),
    "Metaspace": frozenset({"replacement", "prepend_scheme", "split"}),
    "Replace": frozenset({"pattern", "content"}),
    "Strip": frozenset({"content", "start", "stop"}),
    "WordPiece": frozenset({"prefix", "cleanup"}),
}


@dataclass(frozen=True, slots=True)
class ByteLevel:
    """A decoder that is the ByteLevel step and nothing else."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Any other decoder that is understood.

    Attributes:
        before: What is done to every token.
        byte_fallback: Whether `<0xHH>` then is a byte, and a run of them one piece.
        after: What is done to every piece after that.
        leading: What is removed from the beginning of the whole text.
    """

    before: tuple[Step, ...] = ()
    byte_fallback: bool = False
    after: tuple[Step, ...] = ()
    leading: tuple[Strip, ...] = ()


def read_decoder(decoder: Any) -> ByteLevel | Pipeline | None:
    """Return what a decoder of `tokenizers` amounts to; None if a step, or how steps are combined, is not understood.

    A tokenizer without a decoder joins its tokens with spaces.
    """
    if decoder is None:
        return Pipeline(before=(Spaced(),))
    steps = _read_steps(decoder)
    if [step["type"] for step in steps or ()] == ["ByteLevel"]:
        return ByteLevel()
    return None if steps is None else _read_pipeline(steps)


def _read_steps(decoder: Any) -> list[Spec] | None:
    try:
        # What pickling uses. The tokenizer's own JSON would hold the whole vocabulary too.
        state = json.loads(decoder.__getstate__())
    except Exception:  # noqa: BLE001 - a decoder written in Python refuses with whatever error it likes
        return None
    steps = list(_flatten(state))
    return steps if all(_is_known(step) for step in steps) else None


def _flatten(state: Spec) -> Iterator[Spec]:
    if state["type"] == "Sequence":
        for step in state["decoders"]:
            yield from _flatten(step)
    else:
        yield state


def _is_known(spec: Spec) -> bool:
    return spec["type"] in _FIELDS and spec.keys() <= {"type", *_FIELDS[spec["type"]]}


def _read_pipeline(specs: list[Spec]) -> Pipeline | None:
    by_piece, whole = _cut(specs, "Fuse")
    before, after = _cut(by_piece, "ByteFallback")
    pipeline = Pipeline(
        before=tuple(step for step in map(_read_step, before) if step is not None),
        byte_fallback=any(spec["type"] == "ByteFallback" for spec in by_piece),
        after=tuple(step for step in map(_read_step, after) if step is not None and step.splittable),
        leading=tuple(step for step in map(_read_step, whole) if isinstance(step, Strip)),
    )
    understood = [len(pipeline.before), len(pipeline.after), len(pipeline.leading)] == [
        *map(len, (before, after, whole))
    ]
    return pipeline if understood else None


def _cut(specs: list[Spec], kind: str) -> tuple[list[Spec], list[Spec]]:
    """Return what comes before the first step of a kind, and what comes after it."""
    kinds = [spec["type"] for spec in specs]
    if kind not in kinds:
        return specs, []
    index = kinds.index(kind)
    return specs[:index], specs[index + 1 :]


def _read_step(spec: Spec) -> Step | None:
    match spec:
        case {"type": "Replace", "pattern": {"String": str(pattern)}, "content": content} if pattern != "":
            return Replace(pattern, content)
        case {"type": "Strip", "content": content, "start": start, "stop": 0}:
            return Strip(content, start)
        case {"type": "Metaspace", "replacement": marker, "prepend_scheme": "always" | "first" | "never" as scheme}:
            return Metaspace(marker, leading=scheme == "never")
        case {"type": "WordPiece", "prefix": prefix, "cleanup": cleanup}:
            return WordPiece(prefix, cleanup)
    return None
