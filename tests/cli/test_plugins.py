"""Hostile plugins: each is one clear message to whoever names it, and nothing at all to everybody else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamfan import __version__
from tests.support.command import TIMEOUT, Shell, end_of, read_until
from tests.support.distributions import SHOUT, Site

if TYPE_CHECKING:
    from pathlib import Path

# What every module does first: it is imported, and so it says.
MARK = "open({marks!r}, 'a').write(__name__ + ' ')\n"

# Runs the program and writes down what it opens, imports and lists.
AUDITED = """
import json, sys
watched, seen = {"open", "import", "os.listdir", "os.scandir"}, []
sys.addaudithook(lambda event, args: event in watched and seen.append(f"{event} {args[0]}"))
from streamfan.__main__ import main
try:
    main()
finally:
    print(json.dumps(seen), file=sys.stderr)
"""


class Hostile:
    """A site with a plugin for everything that a plugin can do wrong before it is used.

    The sinks are called `raising`, `lacking`, `webhook` (which is a built-in's name), `twice`, `future` and `waiting`;
    the last is imported once there is a file `gate`.
    """

    def __init__(self, shell: Shell) -> None:
        self._marks = shell.folder.parent / "marks"
        self.gate = shell.folder.parent / "gate"
        self._site = Site(shell.site)
        self._install("raising", "raise RuntimeError('boom')")
        self._install("lacking", "import no_client")
        self._install("webhook", distribution="impostor")
        self._install("twice", distribution="first")
        self._install("twice", distribution="second")
        self._install("future", requires="streamfan>=2,<3")
        wait = f"import os, time\nwhile not os.path.exists({str(self.gate)!r}): time.sleep(0.01)\n"
        self._install("waiting", wait + SHOUT.replace("shout", "waiting").replace("\n    ", "\n"))

    @property
    def imported(self) -> set[str]:
        """The modules that were imported, in whatever process."""
        return set(self._marks.read_text(encoding="utf-8").split()) if self._marks.exists() else set()

    def _install(self, sink: str, code: str = "", *, distribution: str | None = None, requires: str = "") -> None:
        marked = MARK.format(marks=str(self._marks)) + code
        self._site.install_sink(sink, marked, distribution=distribution, version="0.3", requires=requires)


@pytest.fixture
def hostile(shell: Shell) -> Hostile:
    return Hostile(shell)


# To whoever names it


MESSAGES = {
    "raising": """\
Error: sink 'raising' (streamfan-raising 0.3) could not be loaded: RuntimeError('boom')
Try: pip install --upgrade streamfan-raising, or leave --sink raising out
""",
    "lacking": """\
Error: sink 'lacking' (streamfan-lacking 0.3) could not be loaded: ModuleNotFoundError("No module named 'no_client'")
Try: pip install --upgrade streamfan-lacking, or leave --sink lacking out
""",
    "webhook": f"""\
Error: sink 'webhook' is claimed by impostor 0.3 and streamfan {__version__}
Try: pip uninstall impostor
""",
    "twice": """\
Error: sink 'twice' is claimed by first 0.3 and second 0.3
Try: pip uninstall first or second
""",
    "future": f"""\
Error: sink 'future' (streamfan-future 0.3) needs streamfan>=2,<3, and this is streamfan {__version__}
Try: pip install --upgrade streamfan-future, or leave --sink future out
""",
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("command", ["run --source stdin --sink", "sinks"])
@pytest.mark.usefixtures("hostile")
def test_whoever_names_a_hostile_plugin_gets_one_message(shell: Shell, command: str, name: str) -> None:
    done = shell.run(*command.split(), name)

    assert (done.code, done.stdout, done.stderr) == (2, b"", MESSAGES[name])


@pytest.mark.parametrize("name", ["webhook", "twice", "future"])
def test_whoever_must_not_be_used_is_not_imported(shell: Shell, hostile: Hostile, name: str) -> None:
    shell.run("sinks", name)

    assert hostile.imported == set()


def test_import_that_hangs_is_told_of_and_waited_for(shell: Shell, hostile: Hostile) -> None:
    process = shell.start("check", "--sink", "waiting")

    told = read_until(process.stderr, b" s\n")
    hostile.gate.touch()
    done = end_of(process)

    assert told == b"streamfan: sink 'waiting' (streamfan-waiting 0.3) is still being imported after 2 s\n"
    assert (done.code, done.stdout, done.stderr) == (0, b"sink 'stdout': reached\nsink 'waiting': reached\n", "")


@pytest.mark.parametrize("child", ["pass", "raise SystemExit", "raise SystemExit('done')"])
def test_process_that_an_import_forks_ends_with_it(shell: Shell, child: str) -> None:
    code = f"import os\nif os.fork() == 0:\n    {child}\nelse:\n    os.wait()\n"
    Site(shell.site).install_sink("shout", code + SHOUT.replace("\n    ", "\n"))

    done = shell.run("run", "--source", "stdin", "--sink", "shout", text="Once upon a time")

    assert (done.code, done.stdout) == (0, b"Once upon a time"), done
    assert done.stderr.splitlines().count("done") == ("done" in child)
    assert "Error" not in done.stderr


PRINTING = """
import io, sys, warnings
print("hello from the module")
warnings.warn("and more")
sys.stdout = io.StringIO()
"""


@pytest.mark.parametrize("command", [["schema"], ["sinks", "--json"]], ids=" ".join)
def test_json_is_json_whatever_an_import_prints(shell: Shell, command: list[str]) -> None:
    Site(shell.site).install_sink("shout", PRINTING + SHOUT.replace("\n    ", "\n"))

    done = shell.run(*command)

    assert done.code == 0
    assert "shout" in str(json.loads(done.stdout))
    assert done.stderr.startswith("hello from the module\n")


def test_text_alone_is_on_stdout_whatever_an_import_prints(shell: Shell) -> None:
    shout = PRINTING + SHOUT.replace("\n    ", "\n")
    Site(shell.site).install("shout", code=shout, sinks={"shout": "shout"})
    Site(shell.site).install("watch", code=PRINTING, hooks={"watch": "watch"})

    done = shell.run("run", "--source", "stdin", "--sink", "shout", text="Once upon a time")

    assert (done.code, done.stdout) == (0, b"Once upon a time"), done
    assert done.stderr.count("hello from the module\n") == 2


@pytest.mark.parametrize(
    ("code", "words", "number"),
    [
        (PRINTING + SHOUT.replace("\n    ", "\n"), "streamfan run --sink shout -o shout.lane.requ", 5),
        ("class Panic(BaseException): ...\nraise Panic", "streamfan run --sink shout -o shout.lane.requ", 5),
        ("", "streamfan run 'Once upon", 2),
        ("", "streamfan run", "x"),
        ("", "", ""),
    ],
)
def test_somebody_at_a_prompt_sees_what_could_be_typed_and_nothing_else(
    shell: Shell, code: str, words: str, number: object
) -> None:
    Site(shell.site).install_sink("shout", code)

    done = shell.run(
        env={"_STREAMFAN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)},
    )

    expected = b"plain,shout.lane.required=" if "hello" in code else b""
    assert (done.code, done.stdout.strip(), done.stderr) == (0, expected, ""), done


# To everybody else


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["run", "--source", "stdin", "--sink", "file:copy.txt"],
        ["run", "--source", "stdin", "--progress", "--sink", "redis://127.0.0.1:1", "-o", "redis.lane.required=false"],
        ["replay", "recording.jsonl"],
        ["check", "--sink", "file:copy.txt"],
        ["tail", "--help"],
        ["sinks"],
        ["sinks", "redis"],
        ["sinks", "file", "--json"],
        ["new-plugin", "kafka"],
    ],
    ids=" ".join,
)
def test_other_commands_import_no_hostile_plugin(shell: Shell, hostile: Hostile, command: list[str]) -> None:
    start = '{"v":1,"type":"start","stream":"a","attempt":1,"writer":"w","time":"2026-01-01T00:00:00Z"}\n'
    (shell.folder / "recording.jsonl").write_text(start, encoding="utf-8")

    done = shell.run(*command, text="Once upon a time")

    # The recording has no end, and so is a stream that has failed.
    assert done.code == (1 if "replay" in command else 0), done
    assert hostile.imported == set()
    assert "0.3" not in done.stderr


@pytest.mark.parametrize("typed", ["streamfan run --sink ", "streamfan run --sink file -o f", "streamfan sinks "])
def test_completion_imports_no_hostile_plugin(shell: Shell, hostile: Hostile, typed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}

    done = shell.run(env={"_STREAMFAN_COMPLETE": "bash_complete", **words})

    assert b"file" in done.stdout, done
    assert hostile.imported == set()


@pytest.mark.parametrize("command", [["schema"], ["sinks", "--json"]], ids=" ".join)
def test_commands_that_describe_everything_describe_the_others(
    shell: Shell, hostile: Hostile, command: list[str]
) -> None:
    hostile.gate.touch()

    done = shell.run(*command)

    assert (done.code, done.stderr) == (0, ""), done
    assert {b'"waiting"', b'"redis"'} <= set(done.stdout.replace(b":", b" ").replace(b",", b" ").split())
    assert hostile.imported == {"streamfan_raising", "streamfan_lacking", "streamfan_waiting"}


# However many there are


def audited(shell: Shell, *arguments: str) -> list[str]:
    """What the program opens, imports and lists, with these arguments."""
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, *arguments],
        cwd=shell.folder,
        # No file is written that the next run would find.
        env=shell.environ({"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: list[str] = json.loads(done.stderr)
    return seen


def install_fifty(site: Path) -> None:
    for number in range(50):
        Site(site).install_sink(f"shout{number}", SHOUT)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_does_the_same_with_fifty_plugins_as_with_none(shell: Shell, argument: str) -> None:
    without = audited(shell, argument)
    install_fifty(shell.site)

    with_fifty = audited(shell, argument)

    assert with_fifty == without
    assert any(event.startswith("import click") for event in without), "the hook sees nothing"
    assert not any("dist-info" in event or "importlib.metadata" in event for event in with_fifty)


def test_metadata_of_fifty_plugins_is_read_where_it_is_asked_for(shell: Shell) -> None:
    install_fifty(shell.site)

    seen = audited(shell, "sinks")

    assert len({event for event in seen if "shout" in event and "entry_points.txt" in event}) == 50
    assert not any("streamfan_shout" in event and ".py" in event for event in seen)
