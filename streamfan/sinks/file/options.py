"""What a file sink can be told, and which of it goes together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from streamfan.errors import ConfigError
from streamfan.options import Seconds, Size
from streamfan.sink import SinkOptions

Mode = Literal["overwrite", "append", "atomic", "resume"]
"""What becomes of what a file holds already."""

Sync = Literal["never", "close", "always"]
"""When the system is made to put a file on the disk itself."""

_OWNER = 0o600
_LARGEST = 0o777


def _octal(value: Any) -> Any:
    """Permissions as octal text, from such text or from a number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = -1
    if not 0 <= mode <= _LARGEST:
        raise ValueError(f"not permissions: {value!r}, expected octal digits in quotes, such as '0640'")
    if mode & _OWNER != _OWNER:
        raise ValueError(f"permissions {value!r} keep the owner from reading or writing, expected '0600' at least")
    return f"{mode:04o}"


class FileOptions(SinkOptions):
    """The options of `FileSink`."""

    format: Literal["text", "jsonl"] | None = Field(
        default=None,
        description="The text, or its events, one per line. Unless given, a path that ends in .jsonl is for events, "
        "and any other for text.",
    )
    mode: Mode | None = Field(
        default=None,
        description="What becomes of what the file holds: overwrite or append to it; or, atomic, replace it at the "
        "end by all that was generated, also where that was cancelled or failed (until then that is PATH.part); or "
        "resume it: what is there is compared and not written again, and the rest appended. Unless given, text "
        "overwrites and jsonl appends.",
    )
    token_ids: bool = Field(default=True, description="Put token ids into the events of format jsonl.")
    permissions: Annotated[str, BeforeValidator(_octal)] = Field(
        default="0600", description="Who may read and write a new file, in octal; one that exists keeps what it has."
    )
    fsync: Sync = Field(
        default="never",
        description="Make the system put the file on the disk itself, which takes milliseconds: never, when a stream "
        "closes, or always, after each piece. If that fails, the stream has failed. Mode atomic does it at the end.",
    )
    rotate_bytes: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="Before an event would make the file larger than this, rename it, with the time in its name, and "
        "begin a new one; for format jsonl.",
    )
    rotate_age: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None,
        description="The same if the first event in the file is older than this; for format jsonl.",
    )
    gzip: bool = Field(
        default=False,
        description="Compress files that were rotated, in the background; what is not done when the program ends stays "
        "as it is.",
    )

    @model_validator(mode="after")
    def _belong_together(self) -> FileOptions:
        if self.format is not None:
            self._suit_the_format()
        if self.gzip and not self.rotates:
            raise ValueError("gzip needs rotate_bytes or rotate_age: only files that were rotated are compressed")
        if self.way == "atomic" and self.fsync == "never" and "fsync" in self.model_fields_set:
            raise ValueError(
                "fsync never does not go with mode atomic: a crash could leave an empty file under the name; "
                "leave fsync out"
            )
        return self

    def written_to(self, path: str | None) -> FileOptions:
        """The same with the format that `path` asks for, unless it was given.

        Raises:
            ConfigError: They do not go together with that.
        """
        if self.format is not None:
            return self
        decided = self.model_copy(update={"format": "jsonl" if path and path.endswith(".jsonl") else "text"})
        try:
            decided._suit_the_format()
        except ValueError as error:
            raise ConfigError(f"sink 'file': {error}\nTry: streamfan sinks file") from None
        return decided

    def _suit_the_format(self) -> None:
        if self.format == "text" and "token_ids" in self.model_fields_set:
            raise ValueError("token_ids needs format jsonl: a text has no token ids")
        for name in ("rotate_bytes", "rotate_age"):
            if getattr(self, name) is not None:
                self._check_rotation(name)

    def _check_rotation(self, name: str) -> None:
        if self.format == "text":
            raise ValueError(f"{name} needs format jsonl: a text that is cut in two is in neither file")
        if self.way == "resume":
            raise ValueError(f"{name} needs mode append: events that were rotated away could not be compared")
        if self.way != "append":
            raise ValueError(f"{name} needs mode append: rotating keeps what mode {self.way} replaces")

    @property
    def way(self) -> Mode:
        """The mode, as given or as usual for the format."""
        return self.mode or ("append" if self.format == "jsonl" else "overwrite")

    @property
    def rotates(self) -> bool:
        """Whether files are rotated."""
        return self.rotate_bytes is not None or self.rotate_age is not None

    @property
    def shared(self) -> bool:
        """Whether others may write to the same file meanwhile."""
        return self.format == "jsonl" and self.way == "append"
