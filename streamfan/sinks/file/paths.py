"""Path templates: a file's path with `{stream}` and `{date}` in it.

A template reaches nothing but its fields, and no value leaves the directory that the template puts it in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from streamfan.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamfan.events import StreamInfo

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]|^\.")


def _date(stream: StreamInfo) -> str:
    return stream.time.astimezone(UTC).date().isoformat()


_FIELDS: Mapping[str, Callable[[StreamInfo], str]] = {"stream": lambda stream: stream.id, "date": _date}


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A path with fields: `{stream}` is a stream's id, `{date}` the day it was opened, in UTC.

    `{{` and `}}` stand for the braces themselves; a `~` at the beginning for the home directory.

    Attributes:
        source: The template as it was written.
        parts: Literal text, each with the name of the field that follows it, or with "".
        directory: What a relative path begins at, whatever the program makes its working directory later.
    """

    source: str
    parts: tuple[tuple[str, str], ...]
    directory: Path

    @classmethod
    def parse(cls, source: str) -> PathTemplate:
        """The template that `source` describes.

        Raises:
            SpecError: It cannot be the path of a file, or has a field that does not exist.
        """
        if not source or source.endswith("/") or "\0" in source:
            raise SpecError(f"path {source!r} does not name a file\nTry: a path such as 'out/{{stream}}.txt'")
        try:
            parsed = [_part(source, *part) for part in Formatter().parse(source)]
        except SpecError:
            raise
        except ValueError:
            raise SpecError(
                f"path {source!r} has a brace without its partner\nTry: '{{{{' or '}}}}' for the brace itself"
            ) from None
        template = cls(source, tuple(parsed), _directory(source))
        if ".." in "".join(literal for literal, _ in template._after_first_field()).split("/"):
            raise SpecError(f"path {source!r} leaves the directory that its fields are in: '..' comes after one")
        try:
            _ = template.base
        except RuntimeError as error:
            raise SpecError(f"path {source!r}: {error}") from None
        return template

    @property
    def fixed(self) -> Path | None:
        """The path that every stream has; None if it depends on the stream."""
        if any(field for _, field in self.parts):
            return None
        return self._absolute("".join(literal for literal, _ in self.parts))

    @property
    def per_stream(self) -> bool:
        """Whether every stream has a path of its own."""
        return any(field == "stream" for _, field in self.parts)

    @property
    def base(self) -> Path:
        """The directory that all paths are in: what stands before the first field."""
        fixed = self.parts[: len(self.parts) - len(self._after_first_field())]
        return self._absolute("".join(literal for literal, _ in fixed) + "_").parent

    def path(self, stream: StreamInfo) -> Path:
        """The path for `stream`."""
        text = "".join(literal + (_safe(_FIELDS[field](stream)) if field else "") for literal, field in self.parts)
        return self._absolute(text)

    def _absolute(self, path: str) -> Path:
        return self.directory / Path(path).expanduser()

    def _after_first_field(self) -> tuple[tuple[str, str], ...]:
        first = next((index for index, (_, field) in enumerate(self.parts) if field), len(self.parts))
        return self.parts[first + 1 :]


def _directory(source: str) -> Path:
    """The working directory; an absolute path needs none."""
    if source.startswith(("/", "~")):
        return Path("/")
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise SpecError(f"path {source!r} leads nowhere: the working directory was removed") from None


def _part(source: str, literal: str, field: str | None, spec: str | None, conversion: str | None) -> tuple[str, str]:
    if field is None:
        return literal, ""
    if field not in _FIELDS or spec or conversion:
        written = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        known = ", ".join(f"{{{name}}}" for name in _FIELDS)
        raise SpecError(f"path {source!r}: there is no field {{{written}}}, only {known}")
    return literal, field


def _safe(value: str) -> str:
    # A leading dot would hide the file, and two of them name the directory above.
    return _UNSAFE.sub("_", value) or "_"
