"""Providers of streamfan's own, set up as the environment says, where no program has set up any.

They are not made the global ones: a program that comes to it later could not do so any more. The SDK's own set-up from
the environment does that, and is private. Neither `force_flush` nor `shutdown` of its spans keeps to a timeout, so both
ends are waited for here, and no longer than they may take.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from streamfan import ConfigError, Permanent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_making = threading.Lock()
# As the SDK reads them, see opentelemetry.util.re: a token, and characters that a value may be written in.
_HEADER = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+\s*=[ !#-+\--:<-\[\]-~]*")
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_BROUGHT_BY = {
    "otlp_proto_http": "streamfan-otel[sdk]",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "prometheus": "opentelemetry-exporter-prometheus",
}


class OwnSpans:
    """A provider of spans, and its end.

    Attributes:
        provider: The provider.

    Raises:
        ConfigError: The environment asks for an exporter that is not installed.
    """

    def __init__(self) -> None:
        self._exporters = [_Watched(exporter) for exporter in _exporters("traces")]
        self.provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for exporter in self._exporters:
            self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._over = threading.Event()
        # Started now: at the interpreter's exit none can be. daemon: it may wait for a collector that does not answer.
        self._thread = threading.Thread(target=self._shut_down, name="streamfan-otel-flush", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Have everything exported, and let go of all.

        Raises:
            Permanent: Some spans were not taken.
            TimeoutError: It took longer than `timeout` seconds.
        """
        self._over.set()
        self._thread.join(timeout)
        late = self._thread.is_alive()
        for exporter in self._exporters:
            # No other try.
            exporter.shutdown()
        if late:
            raise TimeoutError(f"the collector has not taken all spans within {timeout:g} s")
        lost = sum(exporter.lost for exporter in self._exporters)
        if lost:
            raise Permanent(f"spans that were not exported: {lost:,}; the SDK's log says why")

    def _shut_down(self) -> None:
        self._over.wait()
        self.provider.shutdown()


class _Watched(SpanExporter):
    """An exporter that is shut down once, and whose failures are counted: the SDK tells nobody."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.lost = 0
        self._exporter = exporter
        self._lock = threading.Lock()
        self._is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
        return result

    def shutdown(self) -> None:
        with self._lock:
            again, self._is_shut_down = self._is_shut_down, True
        if not again:
            self._exporter.shutdown()


def own_meter_provider(flush_timeout: float) -> MeterProvider:
    """The provider of metrics, one for a process: what two of them send cannot be told apart.

    What it has at the interpreter's exit is exported then, in `flush_timeout` seconds; the last one given counts.

    Raises:
        ConfigError: The environment asks for an exporter that is not installed.
    """
    with _making:
        provider = _meter_provider()
        atexit.unregister(provider.shutdown)
        atexit.register(provider.shutdown, timeout_millis=flush_timeout * 1000)
    return provider


@cache
def _meter_provider() -> MeterProvider:
    readers = [
        exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(exporter)
        for exporter in _exporters("metrics")
    ]
    return MeterProvider(readers, resource=_resource(), shutdown_on_exit=False)


def _resource() -> Resource:
    resource = Resource.create()
    named = not str(resource.attributes[SERVICE_NAME]).startswith("unknown_service")
    return resource if named else resource.merge(Resource({SERVICE_NAME: "streamfan"}))


def _exporters(signal: str) -> list[Any]:
    names = _variable(f"OTEL_{signal.upper()}_EXPORTER", "otlp").split(",")
    return [_exporter(signal, name.strip()) for name in names if name.strip() not in {"", "none"}]


def _exporter(signal: str, name: str) -> Any:
    name = _of_protocol(signal) if name == "otlp" else name
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        package = _BROUGHT_BY.get(name)
        hint = f"\nTry: pip install '{package}'" if package else ""
        raise ConfigError(f"the exporter {name!r}, for {signal}, is not installed{hint}")
    if name in _PROTOCOLS.values():
        _check_headers(signal)
    if name == _PROTOCOLS["http/protobuf"]:
        _check_endpoint(signal)
    make = found.load()
    # stdout carries the text that is generated, and nothing else.
    return make(out=sys.stderr) if name == "console" else make()


def _of_protocol(signal: str) -> str:
    general = _variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = _variable(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", general)
    if protocol not in _PROTOCOLS:
        raise ConfigError(f"the protocol {protocol!r}, for {signal}, is none of {', '.join(_PROTOCOLS)}")
    return _PROTOCOLS[protocol]


def _check_headers(signal: str) -> None:
    """Refuse what the SDK would log and do without: it may be somebody's key, and nothing is exported without it."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS"):
        for header in filter(None, map(str.strip, os.environ.get(name, "").split(","))):
            if not (_HEADER.fullmatch(header) and unquote(header).isprintable()):
                raise ConfigError(f"${name} has what is no header\nTry: NAME=VALUE, or several with commas between")


def _check_endpoint(signal: str) -> None:
    """Refuse what the SDK would log again and again as no URL: it may hold a password."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"):
        if not _variable(name, "http://").startswith(("http://", "https://")):
            raise ConfigError(f"${name} is no URL\nTry: http://HOST:PORT, or https://HOST:PORT")


def _variable(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default
