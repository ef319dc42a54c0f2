"""Id sequences that are hard to detokenize, and what their text has to be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tokenizers import decoders

from tests.support.tokenizers import ADDED, BYTES, SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from tokenizers import Tokenizer

    from streamfan.detokenize import Plan

HARD_TEXTS = {
    "leading and trailing spaces": "  two words   ",
    "a lone space": " ",
    "a line that begins with a space": "a\n\n b\n",
    "indented lines": "def f():\n    if x:\n\treturn  1\n",
    "carriage returns and tabs": "one\r\ntwo\tthree\r\n",
    "adjacent emoji": "😀🎉😀",
    "joined emoji": "👩‍👩‍👧 👋🏽 🇩🇪🇯🇵",
    "combining marks and jamo": "e\u0301 \u1112\u1161\u11ab",
    "ideographs": "日本語の本。中中",
    "kana": "ひらがなカタカナ",
    "Thai and Arabic": "ภาษาไทย العربية",
    "a long word": "https://example.org/" + "aB3-_" * 60,
    "U+FFFD first": "\ufffd x",
    "U+FFFD in the middle and last": "x \ufffd\ufffd y \ufffd",
    "NUL, BOM and a line separator": "\x00a\ufeffb\u2028c",
    "a byte token as text": "<0x41> is not A",
    "markers as text": "a▁b Ġc ▁",
    "contractions": "it isn't , I 'm ' sure ' . do not ! we 've",
}

STRANGE_IDS = [-1, -100, 2**31, 2**32, 2**63 - 1]

_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")


class IdSampler:
    """Draws id sequences: whole vocabulary, encoded texts, runs of bytes, special tokens and ids that do not exist."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._size = tokenizer.get_vocab_size()
        self._texts = [tokenizer.encode(text, add_special_tokens=False).ids for text in HARD_TEXTS.values()]
        self._bytes = _existing(tokenizer, BYTES) or list(range(self._size))
        self._marked = _existing(tokenizer, [*SPECIAL, *ADDED])

    def draw(self, rng: Random) -> list[int]:
        """Return up to about 60 ids."""
        segments = (self._texts_part, self._any, self._run, self._marks, self._outside)
        parts = rng.choices(segments, weights=(4, 4, 3, 2, 1), k=rng.randrange(14))
        return [token_id for part in parts for token_id in part(rng)]

    def _any(self, rng: Random) -> list[int]:
        return [rng.randrange(self._size) for _ in range(rng.randrange(1, 8))]

    def _texts_part(self, rng: Random) -> list[int]:
        ids = rng.choice(self._texts)
        start = rng.randrange(len(ids) + 1)
        return ids[start : start + rng.randrange(12)]

    def _run(self, rng: Random) -> list[int]:
        return rng.choices(self._bytes, k=rng.randrange(1, 5))

    def _marks(self, rng: Random) -> list[int]:
        return rng.choices(self._marked, k=rng.randrange(1, 4))

    def _outside(self, rng: Random) -> list[int]:
        return [rng.choice([*STRANGE_IDS, self._size + rng.randrange(1000)])]


def _existing(tokenizer: Tokenizer, tokens: Iterable[str]) -> list[int]:
    return [token_id for token in tokens if (token_id := tokenizer.token_to_id(token)) is not None]


def decodable(token_ids: Iterable[int]) -> list[int]:
    """Return the ids that `decode` does not raise for."""
    return [token_id for token_id in token_ids if 0 <= token_id < 2**32]


def pieces(plan: Plan, token_ids: Iterable[int], *, prompt: Sequence[int] = ()) -> list[str]:
    """Return what each id gives, and what the end gives."""
    detokenizer = plan.start(prompt)
    return [*map(detokenizer.push, token_ids), detokenizer.finish()]


def text_of(plan: Plan, token_ids: Iterable[int], *, prompt: Sequence[int] = ()) -> str:
    """Return the text of one stream."""
    return "".join(pieces(plan, token_ids, prompt=prompt))


@dataclass(frozen=True)
class DecoderVariant:
    """A decoder with byte fallback, taken apart: `after` is what follows the decoding of bytes."""

    decoder: Any
    after: Any
    replaces: bool = True

    def byte_exact(self, tokenizer: Tokenizer, token_ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """Return the reference: every run of bytes decoded once with replacement, the rest left to the Rust decoder."""
        tokens = _tokens(tokenizer, token_ids, skip_special_tokens=skip_special_tokens)
        if self.replaces:
            tokens = [token.replace("▁", " ") for token in tokens]
        whole: list[str] = []
        for is_byte, group in groupby(tokens, key=lambda token: _BYTE.fullmatch(token) is not None):
            run = list(group)
            whole += [_decoded(run)] if is_byte else run
        return str(self.after.decode(whole))


def _tokens(tokenizer: Tokenizer, token_ids: Iterable[int], *, skip_special_tokens: bool) -> list[str]:
    tokens = [tokenizer.id_to_token(token_id) for token_id in decodable(token_ids)]
    return [token for token in tokens if token is not None and not (skip_special_tokens and token in SPECIAL)]


def _decoded(run: list[str]) -> str:
    return bytes(int(token[3:5], 16) for token in run).decode(errors="replace")


def _sequence(*steps: Any) -> Any:
    return decoders.Sequence(list(steps))


def _fallback(*after: Any) -> DecoderVariant:
    decoder = _sequence(decoders.Replace("▁", " "), decoders.ByteFallback(), *after)
    return DecoderVariant(decoder, _sequence(*after))


def _metaspace(scheme: str) -> DecoderVariant:
    step = decoders.Metaspace(prepend_scheme=scheme)
    return DecoderVariant(_sequence(decoders.ByteFallback(), step), step, replaces=False)


BYTE_FALLBACK_DECODERS = {
    "Llama": _fallback(decoders.Fuse(), decoders.Strip(" ", 1, 0)),
    "Gemma": _fallback(decoders.Fuse()),
    "strip two": _fallback(decoders.Fuse(), decoders.Strip(" ", 2, 0)),
    "strip twice": _fallback(decoders.Fuse(), decoders.Strip(" ", 1, 0), decoders.Strip("T", 1, 0)),
    "strip every piece": _fallback(decoders.Strip(" ", 1, 0)),
    "replace after bytes": DecoderVariant(
        _sequence(decoders.ByteFallback(), decoders.Replace("▁", " "), decoders.Fuse()),
        decoders.Replace("▁", " "),
        replaces=False,
    ),
    "Metaspace always": _metaspace("always"),
    "Metaspace first": _metaspace("first"),
    "Metaspace never": _metaspace("never"),
}

PIECE_DECODERS = {
    "Metaspace alone": decoders.Metaspace(prepend_scheme="always"),
    "Metaspace never alone": decoders.Metaspace(prepend_scheme="never"),
    "Metaspace, then strip": _sequence(
        decoders.Metaspace(prepend_scheme="never"), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ),
    "Metaspace always, then strip": _sequence(
        decoders.Metaspace(prepend_scheme="always"), decoders.Fuse(), decoders.Strip("a", 3, 0)
    ),
    "WordPiece": decoders.WordPiece(cleanup=True),
    "WordPiece without clean-up": decoders.WordPiece(prefix="▁", cleanup=False),
    "replace and join": _sequence(decoders.Replace("ve", "VE"), decoders.Strip("▁", 1, 0), decoders.Fuse()),
    "an empty sequence": _sequence(),
    "none": None,
}
