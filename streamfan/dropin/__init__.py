"""The streamers of transformers under their own names, for programs that have them already.

    from streamfan import TextIteratorStreamer      # was: from transformers import TextIteratorStreamer

They take the same arguments and are subclassed in the same way. What differs is what was wrong: text comes as soon as
it is certain, never empty, and none of it is lost whatever the tokenizer; an iterator ends, with the error, where
`generate()` fails; and `sinks=` delivers the text elsewhere as well. For several rows, and for stop strings, there is
`Fan.streamer`.
"""

from __future__ import annotations

from streamfan.dropin.iterators import AsyncTextIteratorStreamer, TextIteratorStreamer
from streamfan.dropin.text import TextStreamer

__all__ = ["AsyncTextIteratorStreamer", "TextIteratorStreamer", "TextStreamer"]
