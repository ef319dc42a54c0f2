"""Every plugin under plugins/, tried as a stranger has it: installed from wheels, with its tests outside this tree.

    python -m tests.support.plugins                   all of them, and what `streamfan new-plugin` makes
    python -m tests.support.plugins streamfan-nats    this one

Each has an environment of its own, for a stranger's plugin does not see the others. They are kept in .plugins/, and
made anew when what they were made from has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".plugins"
CONSTRAINTS = ROOT / "constraints.txt"
EXAMPLE = ROOT / "plugins" / "streamfan-example"
TRIAL = "streamfan-trial"
"""What `streamfan new-plugin` is asked for."""


class Environment:
    """A virtual environment that has one plugin and nothing else but what it asks for.

    Args:
        folder: The plugin's distribution.
        core: The wheel of streamfan.
    """

    def __init__(self, folder: Path, core: Path) -> None:
        self._folder = folder
        self._core = core
        self._kept = KEPT / folder.name
        self._stamp = self._kept / "stamp"

    def install(self) -> None:
        """Have streamfan and the plugin installed as they are now, and what the plugin's tests need."""
        wheels = [self._core, build(self._folder, self._kept / "wheels")]
        made_from = self._made_from()
        if self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == made_from:
            self._pip("--force-reinstall", "--no-deps", *map(str, wheels))
            return
        self._stamp.unlink(missing_ok=True)
        run(sys.executable, "-m", "venv", "--clear", str(self._kept / "venv"))
        self._pip("--upgrade", "pip")
        group = f"{self._folder / 'pyproject.toml'}:test"
        self._pip("--constraint", str(CONSTRAINTS), *map(str, wheels), "--group", group)
        self._stamp.write_text(made_from, encoding="utf-8")

    def check_types(self) -> None:
        """Run mypy over package and tests, as its author would."""
        with TemporaryDirectory() as temporary:
            source = Path(temporary, self._folder.name)
            shutil.copytree(self._folder, source, ignore=shutil.ignore_patterns(".*", "build", "dist", "__pycache__"))
            cache = str(self._kept / "mypy_cache")
            self.run("python", "-m", "mypy", "--cache-dir", cache, self._module, "tests", cwd=source)

    def test(self) -> None:
        """Run its tests where there is no package to import but the one that is installed."""
        with TemporaryDirectory() as temporary:
            shutil.copytree(self._folder / "tests", Path(temporary, "tests"))
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(self._folder / name, temporary)
            self.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=Path(temporary))

    def run(self, program: str, *arguments: str, cwd: Path = ROOT) -> None:
        """Run a program of this environment."""
        programs = self._kept / "venv" / "bin"
        # Neither this tree nor the environment that this runs in is to be seen.
        hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        run(str(programs / program), *arguments, cwd=cwd, env=environment)

    @property
    def _module(self) -> str:
        return self._folder.name.replace("-", "_")

    def _made_from(self) -> str:
        core = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        needed = str([core["dependencies"], core["optional-dependencies"], sys.version])
        texts = [path.read_bytes() for path in (CONSTRAINTS, self._folder / "pyproject.toml")]
        return hashlib.sha256(b"\0".join([needed.encode(), *texts])).hexdigest()

    def _pip(self, *arguments: str) -> None:
        self.run("python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *arguments)


def run(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a program, which must succeed."""
    subprocess.run(command, cwd=cwd, env=env, check=True)


def build(folder: Path, into: Path) -> Path:
    """Build the wheel of the distribution in `folder`; the only one in `into` is then this."""
    shutil.rmtree(into, ignore_errors=True)
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into), cwd=folder)
    (wheel,) = into.glob("*.whl")
    return wheel


def attempt(folder: Path, core: Path) -> None:
    """Install the plugin in `folder`, check its types and run its tests.

    Raises:
        CalledProcessError: Something of this fails, and has said why.
    """
    environment = Environment(folder, core)
    environment.install()
    environment.check_types()
    environment.test()


def attempt_new(core: Path) -> None:
    """The same with what `streamfan new-plugin` makes; the command is the wheel's, and so is what it copies."""
    environment = Environment(EXAMPLE, core)
    environment.install()
    with TemporaryDirectory() as temporary:
        environment.run("streamfan", "new-plugin", TRIAL.removeprefix("streamfan-"), "--directory", temporary)
        attempt(Path(temporary, TRIAL), core)


def passes(name: str, core: Path) -> bool:
    """Whether this plugin passes; what it does is on stdout."""
    print(f"\n==> {name}", flush=True)
    try:
        if name == TRIAL:
            attempt_new(core)
        else:
            attempt(ROOT / "plugins" / name, core)
    except subprocess.CalledProcessError as error:
        print(f"{name}: exit code {error.returncode} of {' '.join(map(str, error.cmd))}", flush=True)
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Try those that are named, else all; returns the exit code."""
    every = [*sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")), TRIAL]
    if unknown := set(arguments) - set(every):
        print(f"no such plugin: {', '.join(sorted(unknown))}\nTry: {', '.join(every)}", file=sys.stderr)
        return 2
    core = build(ROOT, KEPT / "streamfan")
    failed = [name for name in arguments or every if not passes(name, core)]
    print(f"\nplugins that fail: {', '.join(failed) or 'none'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
