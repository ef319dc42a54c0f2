"""What `make` says, and which Python it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def install_python(path: Path, version: tuple[int, int], *, venv: bool = True) -> Path:
    """A Python that takes itself for another version, and may lack venv as Debian's does."""
    missing = "" if venv else "sys.modules['ensurepip'] = None"
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = {version}\n{missing}\nexec(sys.argv[2])\n")
    path.chmod(0o755)
    return path


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The tests may themselves be run by make, whose flags and PYTHON= would be inherited.
    inherited = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    command = ["make", "--silent", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_make_alone_lists_the_targets() -> None:
    done = make()

    assert done.returncode == 0
    assert {"demo", "test", "lint", "types", "layers", "plugins"} <= {
        line.split()[1] for line in done.stdout.splitlines()
    }


def test_newest_suitable_python_is_taken(folder: Path) -> None:
    shim = install_python(folder / "python3.13", (3, 13))
    shim.write_text("#!/bin/sh\nexit 127\n")  # as pyenv's for a version that is switched off
    newest = install_python(folder / "python3.12", (3, 12))
    install_python(folder / "python3.11", (3, 11))

    done = make("python")

    assert done.stdout.strip() == str(newest)


def test_older_python_with_venv_is_taken_before_a_newer_one_without(folder: Path) -> None:
    install_python(folder / "python3.13", (3, 13), venv=False)
    install_python(folder / "python3.12", (3, 12), venv=False)
    suitable = install_python(folder / "python3.11", (3, 11))

    done = make("python")

    assert done.stdout.strip() == str(suitable)


def test_missing_venv_is_named_as_a_system_package(tmp_path: Path) -> None:
    python = install_python(tmp_path / "python", (3, 12), venv=False)

    done = make("python", f"PYTHON={python}")

    assert done.returncode != 0
    assert "apt-get install python3.12-venv" in done.stderr


def test_missing_redis_server_is_named_before_anything_is_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("make")
    assert program is not None
    (tmp_path / "make").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))

    done = make("test", "ARGS=--version")

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == (
        "redis-server is missing, which the tests start. Try: apt-get install redis-server"
    )


@pytest.mark.parametrize("there", ["node", "npm"])
def test_node_and_npm_are_both_asked_for(there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("make")
    assert program is not None
    (tmp_path / "make").symlink_to(program)
    (tmp_path / there).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    done = make("node")

    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "node or npm is missing, which the tests start. Try: apt-get install nodejs npm"
    )


def test_missing_nats_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("/usr/sbin", str(tmp_path / "sbin"))
    (tmp_path / "Makefile").write_text(makefile, encoding="utf-8")
    program = shutil.which("make")
    assert program is not None
    (tmp_path / "make").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    nats = ("--file", str(tmp_path / "Makefile"), "nats")

    missing = make(*nats)
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "nats-server").touch(0o755)
    there = make(*nats)

    assert missing.stderr.splitlines()[0] == (
        "nats-server is missing, which a plugin's tests start. Try: apt-get install nats-server"
    )
    assert (there.returncode, there.stderr) == (0, "")


def test_redis_server_on_the_path_is_enough(folder: Path) -> None:
    server = folder / "redis-server"
    server.touch(0o755)

    done = make("redis")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", [(3, 10), (2, 7)])
def test_python_that_is_too_old_is_refused(tmp_path: Path, version: tuple[int, int]) -> None:
    python = install_python(tmp_path / "python", version)

    done = make("python", f"PYTHON={python}")

    assert done.returncode != 0
    assert done.stdout == ""
    assert "No Python 3.11 or newer" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_absent_python_is_refused() -> None:
    done = make("python", "PYTHON=no-such-python")

    assert done.returncode != 0
    assert "No Python 3.11 or newer among: no-such-python" in done.stderr
