"""What is declared, built, pinned and imported."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import streamfan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ENTRY_POINTS = distribution("streamfan").entry_points
HEAVY = {
    "httpx2",
    "openai",
    "prometheus_client",
    "pydantic",
    "redis",
    "rich",
    "standardwebhooks",
    "tenacity",
    "tokenizers",
    "torch",
    "transformers",
    "websockets",
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished run of this Python, in the root of the tree, that must succeed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done


# Entry points


@pytest.mark.parametrize("group", PROJECT["entry-points"])
def test_installed_entry_points_are_the_declared_ones(group: str) -> None:
    installed = {entry.name: entry.value for entry in ENTRY_POINTS.select(group=group)}

    assert installed == PROJECT["entry-points"][group]


@pytest.mark.parametrize("value", sorted({value for g in PROJECT["entry-points"].values() for value in g.values()}))
def test_plugin_entry_point_names_a_module(value: str) -> None:
    entry = next(entry for entry in ENTRY_POINTS if entry.value == value)

    assert isinstance(entry.load(), ModuleType)


def test_command_is_callable() -> None:
    (command,) = ENTRY_POINTS.select(group="console_scripts", name="streamfan")

    assert callable(command.load())


# Built files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution made from this tree, without network."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "hatchling", "build", "-d", str(folder))
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    """Paths in the source distribution, from its root."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_below(*folders: str) -> set[str]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    # What tools leave behind.
    left = {"__pycache__", ".mypy_cache", ".pytest_cache", ".venv"}
    return {path.relative_to(ROOT).as_posix() for path in found if not left & set(path.parts)}


def test_wheel_holds_the_package_the_template_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packaged = {name for name in wheel.namelist() if ".dist-info/" not in name}
    template = {name for name in packaged if name.startswith("streamfan/template/")}

    assert packaged - template == files_below("streamfan")
    assert "streamfan/py.typed" in packaged
    assert {name.replace("streamfan/template/", "plugins/streamfan-example/") for name in template} == files_below(
        "plugins/streamfan-example"
    )


def test_wheel_holds_a_demo_model_of_at_most_two_megabytes(wheel: zipfile.ZipFile) -> None:
    sizes = {info.filename: info.file_size for info in wheel.infolist() if info.filename.startswith("streamfan/demo/")}

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {name.rpartition("/")[2] for name in sizes}
    assert sum(sizes.values()) <= 2_000_000


def test_wheel_holds_the_licence_and_the_version(wheel: zipfile.ZipFile) -> None:
    folder = f"streamfan-{streamfan.__version__}.dist-info"

    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    assert f"\nVersion: {streamfan.__version__}\n" in wheel.read(f"{folder}/METADATA").decode()


def test_source_distribution_can_be_tested_and_demonstrated(sdist: set[str]) -> None:
    assert sdist >= files_below("examples", "streamfan", "tests")
    assert sdist >= {"LICENSE", "Makefile", "README.md", "constraints.txt", "pyproject.toml"}


# Pins


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = (line.partition("#")[0].strip().partition("==") for line in lines)
    return {canonicalize_name(name): version for name, _, version in pinned if name}


def declared() -> Iterator[Requirement]:
    """Everything that pyproject.toml asks for, but streamfan itself."""
    extras = PROJECT["optional-dependencies"].values()
    groups = PYPROJECT["dependency-groups"].values()
    lists: list[Iterable[str | dict[str, str]]] = [
        PYPROJECT["build-system"]["requires"],
        PROJECT["dependencies"],
        *extras,
        *groups,
    ]
    for requirement in (Requirement(text) for texts in lists for text in texts if isinstance(text, str)):
        if requirement.name != "streamfan":
            yield requirement


def applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def installed_closure() -> set[str]:
    """Names of all that an installation with every extra and the tools needs on this machine."""
    found: set[str] = set()
    waiting = [requirement for requirement in declared() if applies(requirement)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        below = map(Requirement, requires(name) or ())
        waiting += [dependency for dependency in below if applies(dependency, requirement.extras)]
    return found


@pytest.mark.parametrize("requirement", sorted(set(declared()), key=str), ids=str)
def test_constraint_meets_the_declared_bound(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_constraints_leave_no_dependency_to_chance() -> None:
    assert installed_closure() - pins().keys() == set()


# Public names, imports


def test_public_names_can_be_had_and_are_listed() -> None:
    found = {name: getattr(streamfan, name) for name in streamfan.__all__}

    assert {name for names in streamfan._HOMES.values() for name in names} == found.keys()
    assert set(streamfan.__all__) <= set(dir(streamfan))


def test_every_error_that_a_subscriber_may_meet_has_a_public_name() -> None:
    assert streamfan.subscribe.__doc__ is not None
    raised = re.findall(r"^        (\w+): ", streamfan.subscribe.__doc__.partition("Raises")[2], flags=re.MULTILINE)

    assert "ProducerLost" in raised
    assert set(raised) <= set(streamfan.__all__)


def imported_by(*arguments: str) -> set[str]:
    """Names of the top-level packages that a fresh interpreter imports when run with these arguments."""
    log = run("-X", "importtime", *arguments).stderr
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in log.splitlines()}


def test_importing_streamfan_imports_no_heavy_library() -> None:
    imported = imported_by("-c", "import streamfan")

    assert "streamfan" in imported
    assert imported & HEAVY == set()


def test_help_imports_no_heavy_library() -> None:
    imported = imported_by("-m", "streamfan", "--help")

    assert "click" in imported
    assert imported & HEAVY == set()
