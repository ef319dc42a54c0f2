"""The options of the `sqlite` sink."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from streamfan import SinkOptions

Search = Literal["words", "stems", "substrings"]
"""What a search finds."""


class SqliteOptions(SinkOptions):
    """The options of the `sqlite` sink."""

    search: Search = Field(
        default="words",
        description="What a search finds, decided when the archive is made: words, whatever their accents; stems, "
        "where 'running' also finds 'runs', for English; or substrings of three characters and more, for code and for "
        "languages without spaces.",
    )
    store_prompt: bool = Field(
        default=True, description="Keep what a program gives as meta['prompt'], and search it too; else it is left out."
    )
    synchronous: Literal["normal", "full"] = Field(
        default="normal",
        description="What a power failure may take, where a crash of the program takes nothing: normal, the last "
        "pieces; full, none, and each piece waits for the disk.",
    )
