"""docs/writing-a-sink.md, typed word for word in an empty folder by somebody who has nothing but the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.support.page import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = (DOCS / "writing-a-sink.md").read_text(encoding="utf-8")
# A block of code; where the line before it ends with a name and a colon, it is that file.
_BLOCK = re.compile(
    r"(?:`(?P<file>[\w.-]+)`[^`\n]*:\n\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)

# What whoever installs the published plugin does, elsewhere and with nothing but wheels.
_STRANGER = """
deactivate
python -m venv ../stranger/.venv
../stranger/.venv/bin/pip install streamfan dist/*.whl
cd ../stranger
echo "Dear stranger" | .venv/bin/streamfan run --source stdin --quiet --sink diary
"""


def steps() -> Iterator[tuple[str | None, str, str]]:
    """What the reader does: each file to write and each block to type, in their order."""
    for match in _BLOCK.finditer(PAGE):
        yield match["file"], match["language"], match["code"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of streamfan."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(DOCS.parent)]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_page_has_all_that_is_to_be_written() -> None:
    files = [file for file, _, _ in steps() if file is not None]

    assert files == ["streamfan_diary.py", "pyproject.toml", "streamfan_diary.py", "test_diary.py"]
    assert {language for file, language, _ in steps() if file is None} == {"sh"}


@pytest.mark.timeout(300)
def test_page_gives_a_working_plugin(tmp_path: Path, wheel: Path) -> None:
    programs = tmp_path / "programs"
    folder = tmp_path / "empty"
    programs.mkdir()
    folder.mkdir()
    (tmp_path / "stranger").mkdir()
    script = ["set -e", "set -x"]
    for file, _, code in steps():
        script.append(code if file is None else f"cat > {file} <<'THE_END_OF_IT'\n{code}THE_END_OF_IT\n")
    script.append(_STRANGER)
    # The interpreter that the tests have is called python there too.
    (programs / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))
    env = {
        "PATH": os.pathsep.join([str(programs), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": os.environ["HOME"],
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "LC_ALL": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.lower().endswith(("_proxy", "_index_url"))},
    }

    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Dear diary\n") >= 3  # the terminal, the file, the terminal again
    assert "What the files' names end with." not in done.stdout  # it was shown before there were options
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
    assert [path.suffix for path in (folder / "pages").iterdir()] == [".md"]
    assert "imported streamfan_diary (streamfan-diary 0.1.0) in" in done.stderr
    (written,) = (tmp_path / "stranger").glob("*.txt")
    assert written.read_text(encoding="utf-8") == "Dear stranger\n"
    with tarfile.open(folder / "dist" / "streamfan_diary-0.1.0.tar.gz") as source:
        assert not [name for name in source.getnames() if name.endswith((".txt", ".md"))]
