"""From settings to validated options; an error says which option, who said it, and why it is refused."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from streamfan.config.settings import Layer
from streamfan.errors import ConfigError
from streamfan.specs import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from streamfan.config.settings import Setting

M = TypeVar("M", bound=BaseModel)
log = logging.getLogger("streamfan.config")

_LONGEST_SHOWN = 60
# In the words of TOML and JSON; pydantic's are Python's.
_EXPECTED = {"tuple_type": "a list", "list_type": "a list", "set_type": "a list", "dict_type": "a table"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose options they are, for error texts.

    Attributes:
        name: "sink 'live'".
        see: Where one sees what options there are, a command if possible.
        elsewhere: Names of options that somebody may have meant here.
    """

    name: str
    see: str
    elsewhere: tuple[str, ...] = ()


def build(model: type[M], settings: Mapping[str, Setting], owner: Owner) -> M:
    """Make options from settings.

    What came as text, from a variable or an argument, is taken as text if the option can be text, else as JSON.

    Raises:
        ConfigError: An option is unknown, missing, or refuses its value; one line for each.
    """
    _refuse_unknown(model, settings, owner)
    _warn_of_deprecated(model, settings, owner)
    values = {key: setting.value for key, setting in settings.items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        refused = error
    structured = _structured(settings, {str(detail["loc"][0]) for detail in refused.errors() if detail["loc"]})
    if structured:
        try:
            return model.model_validate(values | structured)
        except ValidationError as error:
            refused = error
    raise ConfigError(_explained(model, settings, owner, refused)) from None


def is_secret(annotation: object) -> bool:
    """Whether a value of this type, or a part of it, is never to be shown."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(is_secret(field.annotation) for field in annotation.model_fields.values())
    return "Secret" in repr(annotation) or any(map(is_secret, get_args(annotation)))


def _structured(settings: Mapping[str, Setting], keys: Iterable[str]) -> dict[str, Any]:
    """Those of the values, given as text, that are a list or a table in JSON."""
    found = {}
    for key in keys:
        setting = settings.get(key)
        if setting is None or setting.layer == Layer.FILE or not isinstance(setting.value, str):
            continue
        try:
            value = json.loads(setting.value)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list | dict):
            found[key] = value
    return found


def _refuse_unknown(model: type[BaseModel], settings: Mapping[str, Setting], owner: Owner) -> None:
    known = {*model.model_fields, *owner.elsewhere}
    lines = [
        f"{owner.name} has no option {key!r} ({setting.origin}){did_you_mean(key, known)}"
        for key, setting in settings.items()
        if key not in model.model_fields
    ]
    if lines:
        raise ConfigError("\n".join([*lines, f"Try: {owner.see}"]))


def _warn_of_deprecated(model: type[BaseModel], settings: Mapping[str, Setting], owner: Owner) -> None:
    for key, setting in settings.items():
        if advice := model.model_fields[key].deprecation_message:
            log.warning("%s: option %r (%s) is deprecated: %s", owner.name, key, setting.origin, advice)


def _explained(model: type[BaseModel], settings: Mapping[str, Setting], owner: Owner, error: ValidationError) -> str:
    reasons: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        key = str(detail["loc"][0]) if detail["loc"] else ""
        reasons.setdefault(key, []).append(_reason(model, key, detail, settings.get(key)))
    lines = [_line(owner, key, settings.get(key), why) for key, why in reasons.items()]
    return "\n".join([*lines, f"Try: {owner.see}"])


def _line(owner: Owner, key: str, setting: Setting | None, reasons: list[str]) -> str:
    if reasons == [""]:
        return f"{owner.name} needs the option {key!r}"
    origin = "" if setting is None else f" ({setting.origin})"
    # One reason for each form that the option could have had.
    why = ", or: ".join(dict.fromkeys(reasons))
    return f"{owner.name}: option {key!r}{origin}: {why}" if key else f"{owner.name}: {why}"


def _reason(model: type[BaseModel], key: str, detail: ErrorDetails, setting: Setting | None) -> str:
    if detail["type"] == "missing" and len(detail["loc"]) == 1:
        return ""
    if detail["type"] in {"value_error", "assertion_error"}:
        # A validator's own words, which show the value where that is right.
        return str(detail["ctx"]["error"])
    message = detail["msg"]
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    if expected := _EXPECTED.get(detail["type"]):
        in_json = "" if setting is None or setting.layer == Layer.FILE else " in JSON"
        message = f"input should be {expected}{in_json}"
    return f"{message}, got {_shown(detail['input'])}" if _is_harmless(model, detail) else message


def _is_harmless(model: type[BaseModel], detail: ErrorDetails) -> bool:
    """Whether what was refused can be shown: it is the value itself, of no secret, and not what surrounds it."""
    if len(detail["loc"]) != 1 or not isinstance(detail["input"], str | int | float):
        return False
    return not is_secret(model.model_fields[str(detail["loc"][0])].annotation)


def _shown(value: object) -> str:
    # Python writes no decimal number of thousands of digits.
    is_huge = isinstance(value, int) and value.bit_length() > 4 * _LONGEST_SHOWN
    text = f"{value:#x}" if is_huge else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
