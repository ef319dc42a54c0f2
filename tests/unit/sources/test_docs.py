"""What docs/sources.md says of options is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamfan.plugins import plugins

DOCS = Path(__file__).parents[3] / "docs" / "sources.md"


@pytest.mark.parametrize("name", ["transformers", "stdin"])
def test_every_option_is_described(name: str) -> None:
    section = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(f"`{name}`"))
    described = [option for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for option in row.split(", ")]

    assert described == [f"`{option}`" for option in plugins().source(name).Options.model_fields]
