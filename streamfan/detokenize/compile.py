"""Picks the plan for a tokenizer: the one of its family, or the window for whatever has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

from streamfan.detokenize.arguments import is_stock, read_arguments
from streamfan.detokenize.bytefallback import ByteFallbackPlan
from streamfan.detokenize.bytelevel import ByteLevelPlan
from streamfan.detokenize.cleanup import CleanedPlan
from streamfan.detokenize.decoder import ByteLevel, read_decoder
from streamfan.detokenize.pieces import PiecePlan
from streamfan.detokenize.plan import Mode, Plan
from streamfan.detokenize.vocabulary import Vocabulary
from streamfan.detokenize.window import WindowPlan
from streamfan.errors import UnsupportedDecode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer


def compile_plan(
    tokenizer: Any,
    *,
    skip_special_tokens: bool = False,
    mode: Mode = "standalone",
    exact: bool = False,
    **decode_kwargs: Any,
) -> Plan:
    """Return how the ids of a tokenizer become text, token by token.

    Args:
        tokenizer: A tokenizer of transformers, fast or slow, a processor that has one, or a `tokenizers.Tokenizer`.
        skip_special_tokens: As for `decode`: leave out special tokens, but not other added ones.
        mode: `standalone` gives the text of `decode(generated_ids)`, `continuation` the text that follows a prompt,
            with the space that some tokenizers drop at the beginning.
        exact: Equal `decode` also where byte fallback breaks; the text of a run of bytes then waits for the run's end.
        **decode_kwargs: Further arguments of `tokenizer.decode`, with the same effect as there.

    Raises:
        UnsupportedDecode: An argument cannot be honoured token by token with this tokenizer.
        TypeError: There is nothing here to decode with.
    """
    if mode not in get_args(Mode):
        raise UnsupportedDecode(f"mode {mode!r} is unknown\nTry: one of {', '.join(map(repr, get_args(Mode)))}")
    tokenizer = _tokenizer_of(tokenizer)
    arguments = read_arguments(tokenizer, skip_special_tokens=skip_special_tokens, others=decode_kwargs)
    plan = _compile_family(tokenizer, skip_special_tokens=skip_special_tokens, mode=mode, exact=exact)
    if plan is None:
        _refuse_exact(tokenizer, exact=exact)
        plan = WindowPlan(arguments.decode, _textless(tokenizer, skip_special_tokens=skip_special_tokens), mode=mode)
    return CleanedPlan(plan) if arguments.clean_up else plan


def _tokenizer_of(tokenizer: Any) -> Any:
    # A processor decodes with its tokenizer. A tokenizer may have a `tokenizer` too, hence the first condition.
    if not hasattr(tokenizer, "convert_ids_to_tokens") and hasattr(tokenizer, "tokenizer"):
        tokenizer = tokenizer.tokenizer
    if not callable(getattr(tokenizer, "decode", None)):
        raise TypeError(f"cannot decode with {tokenizer!r}\nTry: pass a tokenizer, or a processor that has one")
    return tokenizer


def _backend_of(tokenizer: Any) -> Tokenizer | None:
    """Return the Rust tokenizer whose `decode` decides the text, if there is one and nothing stands before it."""
    backend = getattr(tokenizer, "_tokenizer", None) if is_stock(tokenizer) else tokenizer
    # By name, for the library may not be installed. The class has no subclasses, but CLIP's tokenizer puts a function
    # in place of the method.
    is_backend = f"{type(backend).__module__}.{type(backend).__qualname__}" == "tokenizers.Tokenizer"
    return cast("Tokenizer", backend) if is_backend and "decode" not in vars(backend) else None


def _compile_family(tokenizer: Any, *, skip_special_tokens: bool, mode: Mode, exact: bool) -> Plan | None:
    backend = _backend_of(tokenizer)
    if backend is None:
        return None
    decoder = read_decoder(backend.decoder)
    if decoder is None:
        return None
    vocabulary = Vocabulary(backend, skip_special_tokens=skip_special_tokens)
    if isinstance(decoder, ByteLevel):
        return ByteLevelPlan(vocabulary, mode=mode)
    if decoder.byte_fallback:
        return ByteFallbackPlan(vocabulary, decoder, mode=mode, exact=exact)
    return PiecePlan(vocabulary, decoder, mode=mode)


def _refuse_exact(tokenizer: Any, *, exact: bool) -> None:
    if exact:
        raise UnsupportedDecode(
            f"exact=True cannot be kept for {type(tokenizer).__name__}: what its decoder does is not known, so "
            "its text comes from decoding a few ids at a time\nTry: leave it out"
        )


def _textless(tokenizer: Any, *, skip_special_tokens: bool) -> Callable[[int], bool]:
    """Return a function that knows ids that `decode` passes over."""
    backend = _backend_of(tokenizer)
    if backend is not None:
        vocabulary = Vocabulary(backend, skip_special_tokens=skip_special_tokens)
        return lambda token_id: vocabulary.token(token_id) is None
    if skip_special_tokens and is_stock(tokenizer):
        return frozenset(tokenizer.all_special_ids).__contains__
    return lambda token_id: False
