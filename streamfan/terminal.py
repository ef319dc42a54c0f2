r"""Text made fit for a terminal: control characters become visible, and nothing but text.

Model output, error texts and names that come from elsewhere can hold escape sequences that write to the clipboard, set
titles, draw false links or make the terminal type. With the first character of each made visible the rest is plain
text. One character at a time, without state: the result does not depend on where the text was split, nothing is held
back, and an unfinished sequence swallows nothing. The price: a carriage return shows as a mark too.
"""

from __future__ import annotations

_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: "\u2421"}
# 8-bit controls begin sequences as well: U+009B is what ESC [ is in seven bits.
_CONTROLS_8_BIT = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
# Embeddings, overrides and isolates reorder what is read. The marks U+200D to U+200F stay: emoji and Hebrew need them.
_REORDERING = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_ESCAPED = {code: f"\\u{code:04x}" for code in (0x7F, *_CONTROLS_8_BIT, *_REORDERING)}
_BLANKS = {ord(blank): chr(0x2400 + ord(blank)) for blank in "\n\t"}
_VISIBLE = _CONTROLS | _CONTROLS_8_BIT | _REORDERING


def visible(text: str) -> str:
    r"""`text` with every control character but newline and tab in a visible form: `␛`, `\x9b`, `\u202e`."""
    return text.translate(_VISIBLE)


def visible_line(text: str) -> str:
    """The same on one line, where a newline would forge another: `␊`, and `␉`."""
    return visible(text).translate(_BLANKS)


def visible_json(text: str) -> str:
    r"""JSON fit for a terminal, which stays JSON and means the same: `\u009b`. It has no other control characters."""
    return text.translate(_ESCAPED)
