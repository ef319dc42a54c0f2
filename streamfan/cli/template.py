"""The distribution that `streamfan new-plugin` copies, with every `example` in it renamed."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import streamfan

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(streamfan.__file__).parent
# Where a wheel has it, and where it is kept.
_HOMES = (_PACKAGE / "template", _PACKAGE.parent / "plugins" / "streamfan-example")
# Every example but the attribute of sinks that is called so.
_WORD = re.compile(r"(?<![a-z])example(?!: ClassVar)", re.IGNORECASE)
_LEFT_BEHIND = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".venv", "build", "dist"})


def write_copy(name: str, folder: Path) -> None:
    """Write the distribution of a sink called `name` to `folder`; all of it, or nothing.

    Raises:
        OSError: `folder` is there and holds something, or cannot be made.
    """
    # Beside it, so that giving it its name is one step.
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        for path in _files(_home()):
            _write(unfinished / renamed(str(path), name), renamed((_home() / path).read_text(encoding="utf-8"), name))
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def renamed(text: str, name: str) -> str:
    """`text` with `name` in the place of the example's, written as that was."""

    def written(match: re.Match[str]) -> str:
        word = match[0]
        return name.upper() if word.isupper() else name.capitalize() if word[0].isupper() else name

    return _WORD.sub(written, text)


def _home() -> Path:
    return next(home for home in _HOMES if home.is_dir())


def _files(home: Path) -> Iterator[Path]:
    for path in home.rglob("*"):
        relative = path.relative_to(home)
        if path.is_file() and not _LEFT_BEHIND.intersection(relative.parts):
            yield relative


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
