"""How a broken promise is told: what happened, and where the contract says that it must not."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from streamfan.sink import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator


def broken(what: str, contract: Any, cause: BaseException | None = None) -> NoReturn:
    """Fail the test.

    Args:
        what: What the sink did.
        contract: What promises otherwise: a method or class of `streamfan`, or a `Delivery`.
        cause: The sink's own error, to be shown with its traceback.
    """
    __tracebackhide__ = True
    raise pytest.fail.Exception(f"broken promise: {what}\n{_said(contract)}", pytrace=cause is not None) from cause


@contextmanager
def promised(what: str, contract: Any) -> Iterator[None]:
    """Whatever is raised within breaks the promise.

    Args:
        what: What is done, as "open()".
        contract: See `broken`.
    """
    __tracebackhide__ = True
    try:
        yield
    except Exception as error:  # noqa: BLE001 - foreign code: what a sink raises is the finding
        broken(f"{what} raised {error!r}", contract, error)


def _said(contract: Any) -> str:
    if isinstance(contract, Delivery):
        return f"The contract, streamfan.sink.Delivery.{contract.name}: {contract}"
    if isinstance(contract, property):
        contract = contract.fget
    first, _, _ = (inspect.getdoc(contract) or "").partition("\n\n")
    return f"The contract, {contract.__module__}.{contract.__qualname__}: {' '.join(first.split())}"
