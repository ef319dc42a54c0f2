"""All that `streamfan run` is told, from defaults, the file, the environment and the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streamfan.config.build import Owner, build
from streamfan.config.file import File, read
from streamfan.config.options import RunOptions
from streamfan.config.settings import Layer, Setting, Settings, below, from_environment, from_options
from streamfan.config.sinks import Chosen, SinkConfig, choose, configure_sink
from streamfan.config.source import configure_source
from streamfan.errors import ConfigError, UsageError
from streamfan.plugins import plugins
from streamfan.specs import did_you_mean
from streamfan.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamfan.config.options import Summary
    from streamfan.metrics import MetricsFile
    from streamfan.source import Request, Source

CONFIG_VARIABLE = "STREAMFAN_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What to run.

    Attributes:
        request: What to ask the source for, all but the prompt.
        quiet: Whether stdout was told to stay out.
        spill: Where text is kept that a sink was not given.
        metrics: Where metrics are written while it runs.
        abort: Whether to stop the source when a required sink has failed.
    """

    sinks: tuple[SinkConfig, ...]
    source: Source
    request: Request
    quiet: bool
    summary: Summary | None
    spill: Spill | None
    metrics: MetricsFile | None
    abort: bool

    def request_for(self, prompt: str | None) -> Request:
        """The request with its prompt.

        Raises:
            UsageError: There is a prompt, and one means nothing to the source.
        """
        if prompt is not None and "prompt" not in self.source.accepts:
            raise UsageError(f"a prompt means nothing to source {self.source.name!r}\nTry: leave it out")
        return replace(self.request, prompt=prompt)


def configure(
    *,
    sinks: Sequence[str] = (),
    options: Sequence[str] = (),
    config: str | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> RunConfig:
    """Put together what to run: defaults < file < environment < `-o` < flags.

    Args:
        sinks: The values of `--sink`.
        options: The values of `-o`.
        config: The file; `$STREAMFAN_CONFIG` unless given.
        flags: The flags of `streamfan run`, by the names of `RunOptions`; None and empty values were not given.
        environ: The environment variables; those of this process unless given.

    Raises:
        UsageError: Anything of this is not what it should be; nothing was connected, opened or loaded.
    """
    environ = os.environ if environ is None else environ
    file = _file(config, environ)
    variables = from_environment(environ)
    arguments = from_options(options) | _from_flags(flags or {})
    run = build(RunOptions, below(file.settings | variables | arguments, "run"), Owner("run", "streamfan run --help"))
    chosen = choose(sinks, file, quiet=run.quiet, progress=run.progress)
    _refuse_strangers(arguments, chosen)
    layers = (_about(chosen, file), variables, _specified(chosen) | arguments)
    source, request = configure_source(run, layers)
    settings = layers[0] | layers[1] | layers[2]
    return RunConfig(
        sinks=tuple(configure_sink(it, settings) for it in chosen),
        source=source,
        request=request,
        quiet=run.quiet,
        summary=run.summary,
        spill=None if run.spill_dir is None else Spill(run.spill_dir),
        metrics=None if run.metrics_file is None else _metrics(run.metrics_file),
        abort=run.on_sink_failure == "abort",
    )


def _metrics(path: str) -> MetricsFile:
    # Only where they are wanted: they need an extra.
    from streamfan.metrics import MetricsFile

    return MetricsFile(path)


def _file(config: str | None, environ: Mapping[str, str]) -> File:
    if config is not None:
        return read(config, "--config")
    if environ.get(CONFIG_VARIABLE):
        return read(environ[CONFIG_VARIABLE], f"${CONFIG_VARIABLE}")
    return File()


def _from_flags(flags: Mapping[str, Any]) -> Settings:
    return {
        ("run", key): Setting(value, Layer.COMMAND_LINE, f"--{key.replace('_', '-')}")
        for key, value in flags.items()
        if value is not None and value != ()
    }


def _about(chosen: Sequence[Chosen], file: File) -> Settings:
    """What the file says, without the tables of sinks that are not to be, or are something else now."""
    owners = {"run", "source", *(it.id for it in chosen if it.in_file)}
    return {path: setting for path, setting in file.settings.items() if path[0] in owners}


def _specified(chosen: Sequence[Chosen]) -> Settings:
    return {
        (it.id, "target"): Setting(it.target, Layer.COMMAND_LINE, "--sink") for it in chosen if it.target is not None
    }


def _refuse_strangers(arguments: Settings, chosen: Sequence[Chosen]) -> None:
    known = {"run", "source", *(it.id for it in chosen)}
    for path, setting in arguments.items():
        if path[0] not in known:
            raise ConfigError(
                f"there is no sink {path[0]!r} here ({setting.origin}){did_you_mean(path[0], known)}\n"
                f"Try: {_instead(path[0], chosen)}"
            )


def _instead(id: str, chosen: Sequence[Chosen]) -> str:
    """What to do about an option of a sink that was not asked for."""
    if any(listing.name == id for listing in plugins().installed("sink")):
        return f"--sink {id}"
    return f"-o ID.KEY=VALUE with one of {', '.join(sorted(it.id for it in chosen))}, or with run or source"
