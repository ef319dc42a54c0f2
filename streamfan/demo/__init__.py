"""The bundled model: a tiny Llama that tells stories, so that streamfan has something to stream out of the box.

`PATH` is a folder that transformers loads like any other. MODEL.md in it says what the model is and how it was made.
"""

from __future__ import annotations

from pathlib import Path

PATH = Path(__file__).resolve().parent
