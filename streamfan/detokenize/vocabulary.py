"""From an id to its token, exactly as the Rust `decode` looks it up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

    Decode = Callable[[list[int]], str]


def ask(decode: Decode, token_ids: list[int]) -> str | None:
    """Return the text of some ids, None if the tokenizer raises: then they have none."""
    try:
        return decode(token_ids)
    except BaseException as error:
        # A panic in Rust is no Exception, lest it be caught by accident. Here it means no more than any other error.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            return None
        raise


class Vocabulary:
    """The tokens of a fast tokenizer by id, without the special ones if they are to be skipped."""

    __slots__ = ("_skipped", "_token_of")

    def __init__(self, backend: Tokenizer, *, skip_special_tokens: bool) -> None:
        self._token_of = backend.id_to_token
        self._skipped = _skipped(backend) if skip_special_tokens else frozenset()

    def token(self, token_id: object) -> str | None:
        """Return the token that goes into the decoder; None if nothing does, as for an id outside the vocabulary."""
        # Ids are unsigned 32-bit numbers there, and anything else raises; models do produce -100 and padding ids.
        if not isinstance(token_id, int) or not 0 <= token_id < 1 << 32:
            return None
        token = self._token_of(token_id)
        return None if token in self._skipped else token


def _skipped(backend: Tokenizer) -> frozenset[str]:
    added = backend.get_added_tokens_decoder()
    return frozenset(token.content for id_, token in added.items() if _is_skipped(backend, id_, special=token.special))


def _is_skipped(backend: Tokenizer, token_id: int, *, special: bool) -> bool:
    # The tokenizer itself is asked: a special token that was added again as an ordinary one has lost its flag, and is
    # skipped nevertheless.
    shown = ask(partial(backend.decode, skip_special_tokens=False), [token_id])
    if shown is None or shown == "":
        return special
    return ask(partial(backend.decode, skip_special_tokens=True), [token_id]) != shown
