"""Arguments of `tokenizer.decode`: honoured to the letter, or refused with the reason.

`decode` of a fast tokenizer swallows any keyword without a word. Here a name is known or it is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from streamfan.errors import UnsupportedDecode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Where `decode` is what this package takes it for; anything else may do what it likes with the text. A module that is
# missing here costs speed, never text: its tokenizers are then asked for theirs.
_STOCK = frozenset(
    {
        "transformers.tokenization_python",
        "transformers.tokenization_utils_base",
        "transformers.tokenization_utils_sentencepiece",
        "transformers.tokenization_utils_tokenizers",
    }
)

# They act on one id at a time or not at all, so `decode` may have them whatever the window.
_FORWARDED = frozenset({"spaces_between_special_tokens", "use_source_tokenizer"})

_REASONS = {
    "basic_normalize": "it rewrites text that has been delivered by then",
    "decode_with_timestamps": "it looks at the whole sequence at once",
    "group_tokens": "it looks at neighbouring ids, some of which have been delivered by then",
    "normalize": "it rewrites text that has been delivered by then",
    "output_char_offsets": "its result is not a text",
    "output_offsets": "its result is not a text",
    "output_word_offsets": "its result is not a text",
    "remove_diacritics": "it rewrites text that has been delivered by then",
    "truncate_before_pattern": "it removes text that has been delivered by then",
}


@dataclass(frozen=True, slots=True)
class DecodeArguments:
    """What was asked of `decode`, checked against one tokenizer.

    Attributes:
        clean_up: Whether `decode` would end with transformers' own clean-up.
        decode: The text of a list of ids, before that clean-up.
    """

    clean_up: bool
    decode: Callable[[list[int]], str]


def read_arguments(tokenizer: Any, *, skip_special_tokens: bool, others: Mapping[str, Any]) -> DecodeArguments:
    """Check what `tokenizer.decode` would be called with.

    Raises:
        UnsupportedDecode: An argument cannot be honoured token by token, is unknown, or is refused by the tokenizer.
    """
    _refuse_unknown(others)
    arguments = {"skip_special_tokens": skip_special_tokens, **others}
    if hasattr(tokenizer, "clean_up_tokenization_spaces"):
        # Done here if at all: within a window of ids it would come out differently.
        arguments["clean_up_tokenization_spaces"] = False
    decode = partial(tokenizer.decode, **arguments)
    _probe(tokenizer, decode, arguments)
    clean_up = _cleans_up(tokenizer, others.get("clean_up_tokenization_spaces"))
    return DecodeArguments(clean_up, decode)


def is_stock(tokenizer: Any) -> bool:
    """Return whether the tokenizer decodes as the general classes of transformers do, with nothing overridden."""
    return all(
        getattr(getattr(type(tokenizer), name, None), "__module__", None) in _STOCK and name not in vars(tokenizer)
        for name in ("decode", "_decode", "clean_up_tokenization")
    )


def _refuse_unknown(others: Mapping[str, Any]) -> None:
    for name in others:
        if name == "clean_up_tokenization_spaces" or name in _FORWARDED:
            continue
        reason = _REASONS.get(name, "what it does to the text is not known here")
        raise UnsupportedDecode(
            f"decode argument {name!r} cannot be honoured token by token: {reason}\n"
            "Try: leave it out, and decode the ids once more when the stream has ended"
        )


def _probe(tokenizer: Any, decode: Callable[[list[int]], object], arguments: Mapping[str, Any]) -> None:
    """Let the tokenizer object now: from a running stream nobody would hear it."""
    named = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    call = f"{type(tokenizer).__name__}.decode([], {named})"
    try:
        result = decode([])
    except Exception as error:
        raise UnsupportedDecode(f"{call} raised {error!r}\nTry: leave out what this tokenizer does not take") from error
    if not isinstance(result, str):
        raise UnsupportedDecode(f"{call} returned {result!r}, which is no text\nTry: a tokenizer that decodes to text")


def _cleans_up(tokenizer: Any, asked: bool | None) -> bool:
    default = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
    if _is_exempt(tokenizer):
        return False
    if is_stock(tokenizer):
        return default if asked is None else bool(asked)
    if default or asked:
        raise UnsupportedDecode(
            f"clean_up_tokenization_spaces=True cannot be honoured for {type(tokenizer).__name__}: it has a decode of "
            "its own, which may do more to the text afterwards\n"
            "Try: set tokenizer.clean_up_tokenization_spaces = False, and do not ask for it"
        )
    return False


def _is_exempt(tokenizer: Any) -> bool:
    # transformers ignores the argument for BPE, with a warning, unless it is insisted on: it would eat spaces there.
    model = getattr(getattr(tokenizer, "_tokenizer", None), "model", None)
    insists = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
    return type(model).__name__ == "BPE" and not getattr(tokenizer, insists, True)
