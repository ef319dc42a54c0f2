"""Which sinks there are to be, by `--sink` and by the file, and each with its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamfan.config.build import Owner, build
from streamfan.config.settings import below
from streamfan.errors import ConfigError, PluginError
from streamfan.options import LaneOptions
from streamfan.plugins import plugins
from streamfan.specs import Spec, check_unique, did_you_mean, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.config.file import File
    from streamfan.config.settings import Settings
    from streamfan.sink import Sink

_STDOUT = "stdout"
_PROGRESS = "progress"
_LANE = tuple(f"lane.{name}" for name in LaneOptions.model_fields)


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """A sink that is ready to be added to a fan: `fan.add(sink, id=id, lane=lane)`.

    Attributes:
        lane: What was said; for the rest the sink's own defaults hold, see `Fan.add`.
    """

    id: str
    sink: Sink
    lane: LaneOptions


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sink that was asked for, without its options.

    Attributes:
        target: What its specification says; None where that says nothing.
        in_file: Whether the file's table of this id is about it.
    """

    id: str
    type: type[Sink]
    target: str | None
    in_file: bool


def choose(specs: Sequence[str], file: File, *, quiet: bool, progress: bool = False) -> tuple[Chosen, ...]:
    """The sinks that are to be: those of `specs`, else of the file; stdout unless `quiet`; and progress if wanted.

    Raises:
        UsageError: There is none, one does not exist, or two have the same id.
    """
    chosen = [_chosen(text, file) for text in specs or file.types]
    if quiet and not specs:
        chosen = [it for it in chosen if it.type.name != _STDOUT]
    elif not quiet and all(it.type.name != _STDOUT for it in chosen):
        chosen.insert(0, _chosen(_STDOUT, file))
    if not chosen:
        raise ConfigError("nothing would be given the text: quiet, and no sink\nTry: --sink NAME")
    if progress and all(it.type.name != _PROGRESS for it in chosen):
        chosen.append(_chosen(_PROGRESS, file))
    check_unique((it.id, it.type.name) for it in chosen)
    return tuple(chosen)


def configure_sink(chosen: Chosen, settings: Settings) -> SinkConfig:
    """Give a sink its target and options.

    Raises:
        UsageError: An option is unknown or refuses its value, or the sink refuses its target.
    """
    name, see = f"sink {chosen.id!r}", f"streamfan sinks {chosen.type.name}"
    own = below(settings, chosen.id)
    target = own.pop("target", None)
    if target is not None and not isinstance(target.value, str):
        raise ConfigError(f"{name}: option 'target' ({target.origin}): input should be text")
    options = build(chosen.type.Options, own, Owner(name, see, _LANE))
    lane = build(LaneOptions, below(settings, chosen.id, "lane"), Owner(f"the lane of {name}", see))
    spec = Spec(chosen.id, chosen.type.name, target.value if target else None)
    return SinkConfig(chosen.id, plugins().make_sink(spec, options), lane)


def _chosen(text: str, file: File) -> Chosen:
    spec = parse(text)
    if spec.id is None and spec.name in file.types:
        return _from_file(spec, file)
    _refuse_neither(spec.name, file)
    type_ = plugins().sink(spec.name)
    spec = spec.bound(type_)
    assert spec.id is not None, "bound decides it"
    in_file = spec.id in file.types and _type_in(file, spec.id) is type_
    return Chosen(spec.id, type_, spec.target, in_file)


def _from_file(spec: Spec, file: File) -> Chosen:
    """The file's sink with the id that is written where a name could be; what follows is its target."""
    type_ = _type_in(file, spec.name)
    is_own_name = spec.name in {type_.name, *type_.aliases} and spec.target is not None
    target = spec.bound(type_).target if is_own_name else spec.target
    return Chosen(spec.name, type_, target, in_file=True)


def _type_in(file: File, id: str) -> type[Sink]:
    try:
        return plugins().sink(file.types[id])
    except PluginError as error:
        raise PluginError(f"{file.name}: [sinks.{id}]: {error}") from error


def _refuse_neither(name: str, file: File) -> None:
    """Refuse what is near to an id of the file and no sink: the answer should be the id."""
    nearest = did_you_mean(name, file.types)
    if nearest and all(name != listing.name for listing in plugins().installed("sink")):
        raise ConfigError(f"{name!r} is neither a sink nor in {file.name}{nearest}\nTry: streamfan sinks")
