from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from streamfan.errors import ConfigError
from streamfan.sinks.file import FileOptions, FileSink


def test_every_option_is_described() -> None:
    assert all(field.description for field in FileOptions.model_fields.values())


@pytest.mark.parametrize(("options", "way"), [({}, "overwrite"), ({"format": "jsonl"}, "append")])
def test_mode_depends_on_the_format_unless_it_is_given(options: dict[str, Any], way: str) -> None:
    assert FileOptions.model_validate(options).way == way
    assert FileOptions.model_validate(options | {"mode": "atomic"}).way == "atomic"


@pytest.mark.parametrize(
    ("target", "options", "decided"),
    [
        (None, {}, "text"),
        ("a.txt", {}, "text"),
        ("a.jsonl", {}, "jsonl"),
        ("{stream}.jsonl", {"token_ids": False, "mode": "append", "rotate_bytes": "1MiB"}, "jsonl"),
        ("a.jsonl", {"format": "text"}, "text"),
        ("a.txt", {"format": "jsonl"}, "jsonl"),
    ],
)
def test_path_decides_the_format_unless_it_is_given(target: str | None, options: dict[str, Any], decided: str) -> None:
    assert FileSink(target, FileOptions.model_validate(options)).options.format == decided


@pytest.mark.parametrize(("target", "given"), [("a.txt", None), (None, None), ("a.jsonl", "text")])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"token_ids": False}, "token_ids needs format jsonl: a text has no token ids"),
        ({"rotate_bytes": "1MiB"}, "rotate_bytes needs format jsonl: a text that is cut in two is in neither file"),
        ({"rotate_age": "1d"}, "rotate_age needs format jsonl"),
    ],
)
def test_what_does_not_go_with_a_text_is_refused(
    target: str | None, given: str | None, options: dict[str, Any], why: str
) -> None:
    with pytest.raises((ConfigError, ValidationError), match=why):
        FileSink(target, FileOptions.model_validate(options | {"format": given}))


ROTATING = {"format": "jsonl", "rotate_bytes": "1MiB"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ROTATING | {"mode": "overwrite"},
            "rotate_bytes needs mode append: rotating keeps what mode overwrite replaces",
        ),
        (ROTATING | {"mode": "atomic"}, "rotate_bytes needs mode append: rotating keeps what mode atomic replaces"),
        (
            ROTATING | {"mode": "resume"},
            "rotate_bytes needs mode append: events that were rotated away could not be comp",
        ),
        ({"format": "jsonl", "gzip": True}, "gzip needs rotate_bytes or rotate_age"),
        ({"mode": "atomic", "fsync": "never"}, "fsync never does not go with mode atomic: .* leave fsync out"),
        ({"rotate_bytes": 0}, "greater than 0"),
        ({"mode": "replace"}, "'overwrite', 'append', 'atomic' or 'resume'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        FileOptions.model_validate(options)


@pytest.mark.parametrize("given", ["0640", "640", "0o640", 0o640])
def test_permissions_are_octal(given: object) -> None:
    assert FileOptions.model_validate({"permissions": given}).permissions == "0640"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        # What TOML makes of permissions without quotes is a number to the base of ten.
        (640, "not permissions: 640, expected octal digits in quotes, such as '0640'"),
        ("rw-r-----", "not permissions: 'rw-r-----'"),
        ("-600", "not permissions"),
        ("4755", "not permissions"),
        ("0400", "permissions '0400' keep the owner from reading or writing, expected '0600' at least"),
        (True, "valid string"),
    ],
)
def test_other_permissions_are_refused(given: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        FileOptions.model_validate({"permissions": given})
