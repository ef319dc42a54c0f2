"""Distributions as pip would have installed them: a folder on `sys.path` with modules and their metadata."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Self

from streamfan.plugins import plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOUT = """
    from streamfan import Sink, hookimpl

    class Shout(Sink):
        name = "shout"
        def write(self, chunk): ...

    @hookimpl
    def streamfan_sinks():
        return [Shout]
"""
"""The smallest plugin there can be."""


class Site:
    """A site-packages folder for the time of one `with`; what was imported from it is forgotten afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        sys.path.insert(0, str(self.folder))
        plugins.cache_clear()
        return self

    def __exit__(self, *_: object) -> None:
        sys.path.remove(str(self.folder))
        plugins.cache_clear()
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(self.folder)):
                del sys.modules[name]

    def install(
        self, name: str, version: str = "1.0", *, code: str = "", requires: str = "", **groups: Mapping[str, str]
    ) -> None:
        """Install a distribution with a module of the same name.

        Args:
            code: The module's text.
            requires: What the distribution needs, "streamfan>=2".
            groups: Entry points: `sinks={"shout": "module"}`.
        """
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needed = f"Requires-Dist: {requires}\n" if requires else ""
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}"
        (info / "METADATA").write_text(about, encoding="utf-8")
        lines = (
            line
            for group, entries in groups.items()
            for line in (f"[streamfan.{group}]", *(f"{entry} = {value}" for entry, value in entries.items()))
        )
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        (self.folder / f"{name.replace('-', '_')}.py").write_text(dedent(code), encoding="utf-8")

    def install_sink(
        self, sink: str, code: str, *, distribution: str | None = None, version: str = "1.0", requires: str = ""
    ) -> None:
        """Install a distribution, `streamfan-SINK` unless given, whose module brings the sink of this name."""
        name = distribution or f"streamfan-{sink}"
        self.install(name, version, code=code, requires=requires, sinks={sink: name.replace("-", "_")})
