from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streamfan import __version__, cli
from streamfan.cli import main
from streamfan.errors import ConfigError, SourceError

HEAVY = {"httpx2", "pydantic", "redis", "rich", "tokenizers", "torch", "transformers"}


def streamfan(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A finished run of the program itself."""
    return subprocess.run(
        [sys.executable, "-m", "streamfan", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The command `sinks` raises what a test puts into this list."""
    errors: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise errors.pop()

    # As an attribute of the module, which is where commands are looked up.
    monkeypatch.setattr("streamfan.cli.sinks.sinks", command)
    return errors


@pytest.mark.parametrize("argument", ["--help", "-h", "--version"])
def test_help_and_version_import_no_command_and_nothing_heavy(argument: str) -> None:
    code = (
        "import sys; from streamfan.cli import main\n"
        "try: main([sys.argv[1]])\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr);"
        " print(*(name for name in sys.modules if name.startswith('streamfan.')), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True, timeout=50, check=False
    )

    everything, own = (set(line.split()) for line in done.stderr.splitlines())
    assert done.returncode == 0
    assert not everything & HEAVY
    assert "pluggy" not in everything
    light = {"streamfan.errors", "streamfan.printed", "streamfan.terminal"}
    assert own == {"streamfan.cli", "streamfan.cli.explain", *light}


def test_version_is_printed() -> None:
    done = streamfan("--version")

    assert (done.returncode, done.stdout) == (0, f"streamfan, version {__version__}\n")


def test_help_of_the_program_says_what_each_command_says_of_itself() -> None:
    context = click.Context(main)

    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(limit=200) in " ".join(main.get_help(context).split())


def test_mistyped_command_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["sinsk"])

    assert result.exit_code == 2
    assert "No such command 'sinsk'. Did you mean 'sinks'?" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("not so\nTry: otherwise"), 2, "Error: not so\nTry: otherwise\n"),
        (SourceError("no text"), 1, "Error: no text\n"),
        (SourceError("\x1b]52;c;eA==\x07"), 1, "Error: ␛]52;c;eA==␇\n"),
        (SourceError("half \udce9"), 1, "Error: half \\udce9\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (
            RuntimeError("boom\nand more"),
            1,
            (
                "Error: unexpected RuntimeError: boom and more\n"
                "Try: STREAMFAN_TRACEBACK=1 before the command, for where it comes from\n"
            ),
        ),
        (click.ClickException("from click"), 1, "Error: from click\n"),
        (click.exceptions.Exit(7), 7, ""),
        (SystemExit(9), 9, ""),
    ],
)
def test_error_becomes_text_and_an_exit_code(
    raising: list[BaseException], error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_forget_stdout", lambda: None)
    raising.append(error)

    result = CliRunner().invoke(main, ["sinks"])

    assert (result.exit_code, result.stdout, result.stderr) == (code, "", text)


def test_traceback_is_shown_to_who_asks_for_it(raising: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFAN_TRACEBACK", "1")
    raising.append(RuntimeError("boom"))

    result = CliRunner().invoke(main, ["sinks"])

    assert isinstance(result.exception, RuntimeError)


def test_closed_pipe_ends_the_program_quietly() -> None:
    # Unbuffered, nothing would be left for the interpreter to flush when it ends.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "wb") as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "streamfan", "sinks"],
            env=env,
            stdout=nowhere,
            stderr=subprocess.PIPE,
            timeout=50,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_that_cannot_be_written_is_told_in_words(argument: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamfan", argument], stdout=full, stderr=subprocess.PIPE, timeout=50, check=False
        )

    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: the output cannot be written: no space left\n")
    assert b"Traceback" not in done.stderr


def test_interrupt_while_the_program_is_imported_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")

    done = streamfan("--version", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_output_is_utf8_whatever_the_locale_says(locale: str) -> None:
    done = streamfan("sinks", "é😀", LC_ALL=locale, PYTHONIOENCODING="latin-1")

    assert done.returncode == 2
    assert "unknown sink 'é😀'" in done.stderr
