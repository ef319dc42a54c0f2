"""Where the text comes from, and what is asked for there.

What was said for one source says nothing about another: options of a source that the file chose do not reach the one
that `--source` puts in its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamfan.config.build import Owner, build
from streamfan.config.options import DEFAULT_SOURCE
from streamfan.config.settings import Layer, Settings, below
from streamfan.errors import SpecError, UsageError
from streamfan.plugins import plugins
from streamfan.source import Request
from streamfan.specs import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streamfan.config.options import RunOptions
    from streamfan.config.settings import Setting
    from streamfan.source import Source

_ASKED = ("prompts", "model", "max_new_tokens", "temperature", "seed", "stop", "chat")


def configure_source(run: RunOptions, layers: Sequence[Settings]) -> tuple[Source, Request]:
    """Make the source with its options, and the request without its prompt.

    Args:
        layers: What was said, one for each `Layer` and in their order.

    Raises:
        UsageError: There is no such source, an option is refused, or something is asked for that means nothing to it.
    """
    spec = parse(run.source)
    if spec.id is not None:
        raise SpecError(f"source {run.source!r} cannot have an id: there is only one\nTry: NAME[:TARGET]")
    type_ = plugins().source(spec.name)
    aware = _layers_about(spec.name, layers)
    settings = {path: setting for layer in layers for path, setting in layer.items()}
    own = {key: setting for key, setting in below(settings, "source").items() if setting.layer in aware}
    owner = Owner(f"source {type_.name!r}", see=f"streamfan sources {type_.name}")
    source = plugins().make_source(spec, build(type_.Options, own, owner))
    return source, Request(**_asked(run, below(settings, "run"), source, aware))


def _layers_about(source: str, layers: Sequence[Settings]) -> set[Layer]:
    """The layers that speak of this source: going by them and those below, it is the one."""
    found = set()
    current = DEFAULT_SOURCE
    for layer, settings in zip(Layer, layers, strict=True):
        if said := settings.get(("run", "source")):
            current = str(said.value).partition(":")[0]
        if current == source:
            found.add(layer)
    return found


def _asked(
    run: RunOptions, settings: Mapping[str, Setting], source: Source, aware: Collection[Layer]
) -> dict[str, Any]:
    asked = {}
    for key in _ASKED:
        if key in source.accepts:
            asked[key] = _prompts(run.prompts) if key == "prompts" else getattr(run, key)
        # A general wish from the file that this source knows nothing of is no mistake.
        elif key in settings and settings[key].layer in aware:
            raise UsageError(
                f"option {key!r} ({settings[key].origin}) means nothing to source {source.name!r}\nTry: leave it out"
            )
    return asked


def _prompts(file: str | None) -> tuple[tuple[int, str], ...]:
    """The lines of a file that are not empty, with their numbers."""
    if file is None:
        return ()
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"file of prompts {file!r} is not UTF-8, at byte {error.start}") from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"file of prompts {file!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    prompts = tuple((number, line.removesuffix("\r")) for number, line in enumerate(lines, 1) if line.strip())
    if not prompts:
        raise UsageError(f"file of prompts {file!r} has no prompt in it\nTry: one on each line")
    return prompts
