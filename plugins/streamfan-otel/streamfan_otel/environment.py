"""Who has set up OpenTelemetry: the program, or whoever started it.

Source: OpenTelemetry's "Environment Variable Specification"; one that is empty counts as not set.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from streamfan import ConfigError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

Provider = TypeVar("Provider")

_WANT_METRICS = ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def program_tracer_provider() -> TracerProvider | None:
    """The global provider of spans, if somebody has set one."""
    from opentelemetry.trace import get_tracer_provider

    return _if_set(get_tracer_provider())


def program_meter_provider() -> MeterProvider | None:
    """The global provider of metrics, if somebody has set one."""
    from opentelemetry.metrics import get_meter_provider

    return _if_set(get_meter_provider())


def metrics_wanted() -> bool:
    """Whether the program or the environment asks for metrics; imports nothing."""
    if os.environ.get("OTEL_METRICS_EXPORTER") == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if any(os.environ.get(name) for name in _WANT_METRICS):
        return True
    # Whoever has not imported it has set nothing.
    return "opentelemetry.metrics" in sys.modules and program_meter_provider() is not None


def need_sdk() -> None:
    """Return if the SDK is installed.

    Raises:
        ConfigError: It is not.
    """
    if find_spec("opentelemetry.sdk") is None:
        raise ConfigError(
            "no program has set up OpenTelemetry, and opentelemetry-sdk, which would, is not installed\n"
            "Try: pip install 'streamfan-otel[sdk]'"
        )


def _if_set(provider: Provider) -> Provider | None:
    # What the API gives meanwhile; of metrics' there is no public name.
    return None if type(provider).__name__.lstrip("_").startswith("Proxy") else provider
