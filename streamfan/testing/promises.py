"""How a broken promise is told: what happened, and where the contract says that it must not."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from streamfan.sink import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator


def broken(what: str, contract: Any, cause: BaseException | None = None, *, about: str = "") -> NoReturn:
    """Fail the test.

    Args:
        what: What the sink did.
        contract: What promises otherwise: a method or class of `streamfan`, or a `Delivery`.
        cause: The sink's own error, to be shown with its traceback.
        about: Words of the paragraph that says so; the first one unless given.
    """
    __tracebackhide__ = True
    message = f"broken promise: {what}\n{_said(contract, about)}"
    raise pytest.fail.Exception(message, pytrace=cause is not None) from cause


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


def _said(contract: Any, about: str) -> str:
    if isinstance(contract, Delivery):
        return f"{_said(Delivery, about)} This sink promises: {contract}."
    if isinstance(contract, property):
        contract = contract.fget
    paragraphs = [" ".join(each.split()) for each in (inspect.getdoc(contract) or "").split("\n\n")]
    said = next(paragraph for paragraph in paragraphs if about in paragraph)
    return f"The contract, {contract.__module__}.{contract.__qualname__}: {said}"
