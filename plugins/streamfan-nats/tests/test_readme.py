"""What README.md shows, done as it says; only addresses are the test's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streamfan_nats import NatsSink
from tests.support.publishing import publish
from tests.support.reader import text

if TYPE_CHECKING:
    from tests.support.server import NatsServer

LOCAL = "nats://localhost:4222"

PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's blocks of code in this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed(block: str, folder: Path, **environment: str) -> str:
    """What a block says at a shell, but for what installs and what is left running."""
    lines = [line for line in block.splitlines() if not line.startswith("pip ") and not line.endswith("&")]
    # The programs of the environment that the tests run in.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_lines_bring_a_text_to_the_server(server: NatsServer, tmp_path: Path) -> None:
    (first,) = blocks("sh")
    assert LOCAL in first

    typed(first.replace(LOCAL, server.url).rstrip() + " --id readme", tmp_path)

    assert text(server.url, "streamfan.readme") == "Once upon a time\n"


def test_reader_of_the_page_reads_a_stream(server: NatsServer) -> None:
    done = publish(NatsSink(server.url))
    (program,) = blocks("python")

    said = subprocess.run(
        [sys.executable, "-c", program.replace(LOCAL, server.url), done.id],
        capture_output=True,
        timeout=50,
        check=True,
    )

    assert said.stdout.decode() == done.text


def test_settings_of_the_page_are_understood(tmp_path: Path) -> None:
    (settings,) = blocks("toml")
    (tmp_path / "producer.creds").write_text("nobody's", encoding="utf-8")
    settings = settings.replace("~/.config", str(tmp_path)).replace("nats.example.com", "127.0.0.1:1")
    (tmp_path / "streamfan.toml").write_text(f"{settings}lane = {{ connect_timeout = 1 }}\n", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "streamfan", "check", "--config", "streamfan.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    # Understood, and nobody is there.
    assert done.returncode == 4, done.stderr
    assert "tls://127.0.0.1:1" in done.stderr


def test_every_option_is_in_the_table_with_its_default() -> None:
    command = [sys.executable, "-m", "streamfan", "sinks", "nats", "--json"]
    described = json.loads(subprocess.run(command, capture_output=True, timeout=50, check=True).stdout)
    options = {option["name"]: option["default"] for option in described["options"]}

    table = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", table, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert list(told) == list(options)
    assert {name: told[name] for name in options if options[name]} == {
        name: f"`{default}`" for name, default in options.items() if default
    }
