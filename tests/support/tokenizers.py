"""Small tokenizers of every family, built in memory from sentences made up here; nothing is downloaded.

All but the slow ones have the special tokens `<pad>`, `<unk>`, `<s>` and `</s>`, and the added tokens `<think>` and
`é日本`. Unless it says otherwise, each call returns a tokenizer of its own, which a test may change.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import ByT5Tokenizer, CanineTokenizer, PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Callable

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
ADDED = ["<think>", "é日本"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

_SUBJECTS = ["The fox", "A small owl", "My café", "Nobody", "The 3rd reader", "Zoë", "It", "I"]
_VERBS = ["didn't see", "reads", "has found", "isn't", "would've liked", "'s", "writes to", "were"]
_OBJECTS = ["the river", "an old map", "two words", "¿qué?", "naïve ideas", "the end", "a party"]
_ENDINGS = [".", "!", "?", ", again.", " ...", ";", " ~ no"]


def corpus() -> list[str]:
    """Return a few hundred sentences, with letters, digits, accents, ideographs and emoji."""
    sentences = [f"{who} {does} {what}" for who in _SUBJECTS for does in _VERBS for what in _OBJECTS]
    # Neighbours in Unicode share their first bytes, so parts of characters become tokens.
    return [
        f"{sentence}{_ENDINGS[n % len(_ENDINGS)]} {chr(0x65E0 + n % 64)}{chr(0x1F600 + n % 64)}"
        for n, sentence in enumerate(sentences)
    ]


def latin_corpus() -> list[str]:
    """Return the same sentences without ideographs and emoji, which then have no tokens."""
    return ["".join(character for character in sentence if character < "\u0250") for sentence in corpus()]


def byte_level() -> Tokenizer:
    """ByteLevel BPE over the full byte alphabet, with a vocabulary so small that ideographs and emoji are split."""
    return _load(_byte_level())


def byte_fallback() -> Tokenizer:
    """BPE in the style of Llama 2: ideographs, emoji and newlines are spelled in bytes."""
    return _load(_byte_fallback())


def unigram() -> Tokenizer:
    """Unigram with bytes, decoded by ByteFallback and then Metaspace."""
    return _load(_unigram())


def wordpiece(*, cleanup: bool = True) -> Tokenizer:
    """WordPiece, with added tokens that the decoder's clean-up acts on."""
    tokenizer = _load(_wordpiece())
    tokenizer.decoder = decoders.WordPiece(cleanup=cleanup)
    return tokenizer


def null_decoder() -> Tokenizer:
    """Whole words and no decoder: pieces are joined with spaces."""
    return _load(_null_decoder())


def end_of_word() -> Tokenizer:
    """Pieces of which the last of a word is marked: a decoder that is not followed step by step."""
    return _load(_end_of_word())


def word_level(*tokens: str, decoder: Any = None) -> Tokenizer:
    """Return a tokenizer of exactly these tokens, their ids in order, without special or added ones."""
    tokenizer = Tokenizer(
        models.WordLevel({token: token_id for token_id, token in enumerate(tokens)}, unk_token=tokens[0])
    )
    tokenizer.decoder = decoder
    return tokenizer


def byt5() -> ByT5Tokenizer:
    """A slow tokenizer whose ids are bytes."""
    return ByT5Tokenizer()


@cache
def canine() -> CanineTokenizer:
    """A slow tokenizer whose ids are code points; always the same one, for it takes a second to make."""
    return CanineTokenizer()  # type: ignore[no-untyped-call]


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "byte-level": byte_level,
    "byte fallback": byte_fallback,
    "unigram": unigram,
    "wordpiece": wordpiece,
    "null": null_decoder,
}


def fast(
    tokenizer: Tokenizer, kind: type[PreTrainedTokenizerFast] = PreTrainedTokenizerFast, **kwargs: Any
) -> PreTrainedTokenizerFast:
    """Wrap a tokenizer as transformers does, or as a subclass does; it gets a copy."""
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return kind(tokenizer_object=tokenizer, **special, **kwargs)


def with_decoder(tokenizer: Tokenizer, decoder: Any) -> Tokenizer:
    """Return a copy with another decoder."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.decoder = decoder
    return copy


def ids_of(tokenizer: Tokenizer, *tokens: str) -> list[int]:
    """Return the ids of tokens, all of which must exist."""
    ids = [tokenizer.token_to_id(token) for token in tokens]
    missing = [token for token, token_id in zip(tokens, ids, strict=True) if token_id is None]
    assert missing == []
    return [token_id for token_id in ids if token_id is not None]


@cache
def _byte_level() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return _dump(tokenizer)


@cache
def _byte_fallback() -> str:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=620,
        special_tokens=[*SPECIAL, *BYTES],
        initial_alphabet=["▁", "Ġ", "\ufffd"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(latin_corpus(), trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _dump(tokenizer)


# The others are not trained: their trainers break ties differently in every process.


def _words(pattern: str = r"\w+") -> list[str]:
    return sorted({word for sentence in latin_corpus() for word in re.findall(pattern, sentence)})


def _characters() -> list[str]:
    return sorted({character for sentence in latin_corpus() for character in sentence} - {" "})


def _numbered(*tokens: str) -> dict[str, int]:
    return {token: token_id for token_id, token in enumerate(dict.fromkeys([*SPECIAL, *tokens]))}


@cache
def _unigram() -> str:
    words = _words()
    # Pieces with the marker inside or at the end are rare, and treated in a way of their own.
    texts = ["▁", "▁▁▁", "a▁b▁", *_characters(), *(f"▁{word}" for word in words), *(word[2:] for word in words)]
    scores = {token: -5.0 for token in _numbered(*texts) if token != ""} | dict.fromkeys(BYTES, -20.0)
    tokenizer = Tokenizer(models.Unigram(list(scores.items()), unk_id=SPECIAL.index("<unk>"), byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return _dump(tokenizer)


@cache
def _wordpiece() -> str:
    words = _words()
    starts, rests = [word[:2] for word in words], [f"##{word[2:]}" for word in words if len(word) > 2]
    characters = [*_characters(), *(f"##{character}" for character in _characters())]
    tokenizer = Tokenizer(models.WordPiece(_numbered(*characters, *words, *starts, *rests), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _dump(tokenizer, "n't", "'s", "' ", "do not", " . ,")


@cache
def _null_decoder() -> str:
    tokenizer = Tokenizer(models.WordLevel(_numbered(*_words(r"\w+|[^\w\s]+")), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _dump(tokenizer)


@cache
def _end_of_word() -> str:
    pieces = [piece for word in _words() for piece in (f"{word}</w>", word[:2], f"{word[2:]}</w>")]
    tokenizer = Tokenizer(models.WordLevel(_numbered(*pieces), unk_token="<unk>"))
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return _dump(tokenizer)


def _dump(tokenizer: Tokenizer, *more: str) -> str:
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(content, normalized=False) for content in [*ADDED, *more]])
    state = json.loads(tokenizer.to_str())
    # Bytes are ordinary vocabulary in the models that have them; training knows no way to say so.
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in BYTES]
    return json.dumps(state)


def _load(state: str) -> Tokenizer:
    return Tokenizer.from_str(state)
