"""`streamfan new-plugin`; that what it makes passes its own tests is shown by `make plugins`."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streamfan.cli import main, template
from tests.support.distributions import SHOUT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

TEMPLATE = Path(__file__).parents[2] / "plugins" / "streamfan-example"


def new_plugin(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["new-plugin", *arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield site


def files(folder: Path) -> set[str]:
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {str(path) for path in found if not template._LEFT_BEHIND & set(path.parts)}


def test_copy_has_every_file_under_its_new_name(here: Path) -> None:
    result = new_plugin("kafka")

    assert result.exit_code == 0
    assert files(here / "streamfan-kafka") == {path.replace("_example", "_kafka") for path in files(TEMPLATE)}
    assert {path.name for path in here.iterdir()} == {"streamfan-kafka"}


def test_nothing_is_called_after_the_example_any_more(here: Path) -> None:
    new_plugin("kafka")

    lines = [line for path in files(here) for line in (here / path).read_text(encoding="utf-8").splitlines()]
    assert [line.strip() for line in lines if "example" in line.lower()] == [
        'example: ClassVar[str] = "kafka:localhost:9009"'
    ]


def test_names_are_written_as_the_examples_were(here: Path) -> None:
    new_plugin("kafka")

    folder = here / "streamfan-kafka"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sink = (folder / "streamfan_kafka" / "sink.py").read_text(encoding="utf-8")
    assert project["name"] == "streamfan-kafka"
    assert project["entry-points"]["streamfan.sinks"] == {"kafka": "streamfan_kafka"}
    assert "class KafkaSink(Sink):" in sink
    assert "STREAMFAN_KAFKA_TOKEN" in (folder / "README.md").read_text(encoding="utf-8")


def test_copy_parses(here: Path) -> None:
    new_plugin("s3")

    for path in (here / "streamfan-s3").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))


def test_directory_is_where_it_goes_and_what_comes_next_says_so(here: Path) -> None:
    (here / "my projects").mkdir()

    result = new_plugin("kafka", "--directory", "my projects")

    assert (here / "my projects" / "streamfan-kafka").is_dir()
    assert "\n  cd 'my projects/streamfan-kafka'\n" in result.stdout
    assert "\n  pip install --editable . --group test\n  pytest\n  streamfan sinks kafka\n" in result.stdout


def test_name_of_the_distribution_will_do_too(here: Path) -> None:
    new_plugin("streamfan-kafka")

    assert {path.name for path in here.iterdir()} == {"streamfan-kafka"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Kafka", "'Kafka' cannot be an id, which matches [a-z][a-z0-9]*\nTry: streamfan new-plugin kafka\n"),
        ("my-sink", "'my-sink' cannot be an id, which matches [a-z][a-z0-9]*\nTry: streamfan new-plugin mysink\n"),
        ("../x", "'../x' cannot be an id, which matches [a-z][a-z0-9]*\nTry: streamfan new-plugin x\n"),
        ("日本", "'日本' cannot be an id, which matches [a-z][a-z0-9]*\nTry: streamfan new-plugin mysink\n"),
        ("lane", "'lane' cannot be an id: the word is reserved\nTry: streamfan new-plugin mylane\n"),
        ("a" * 65, f"'{'a' * 65}' is longer than 64 characters\nTry: a shorter name\n"),
        ("tests", "pytest would take classes for tests that are called after 'tests'\nTry: another name\n"),
        ("sink", "SinkOptions would be a name of yours, and is one of streamfan's\nTry: another name\n"),
    ],
)
def test_name_that_cannot_be_used_is_refused_with_one_that_can(here: Path, name: str, why: str) -> None:
    result = new_plugin(name)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {why}")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["redis", "https"])
def test_name_of_a_builtin_is_refused(here: Path, name: str) -> None:
    result = new_plugin(name)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: there is a sink {name!r} already, from streamfan ")
    assert list(here.iterdir()) == []


def test_name_of_an_installed_plugin_is_refused(here: Path, site: Site) -> None:
    site.install_sink("shout", SHOUT, version="0.3.1")

    result = new_plugin("shout")

    assert "there is a sink 'shout' already, from streamfan-shout 0.3.1\n" in result.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("there", ["folder", "file", "dangling link"])
def test_what_is_there_is_left_as_it_is(here: Path, there: str) -> None:
    path = here / "streamfan-kafka"
    if there == "folder":
        path.mkdir()
    elif there == "file":
        path.write_text("mine", encoding="utf-8")
    else:
        path.symlink_to("nowhere")

    result = new_plugin("kafka")

    assert (result.exit_code, result.stderr) == (
        2,
        "Error: 'streamfan-kafka' is there already\nTry: another name, or --directory DIR\n",
    )
    assert list(here.iterdir()) == [path]
    assert files(here) == ({"streamfan-kafka"} if there == "file" else set())


def test_folder_that_somebody_makes_meanwhile_is_left_as_it_is(here: Path) -> None:
    (here / "streamfan-kafka").mkdir()
    (here / "streamfan-kafka" / "mine").touch()

    with pytest.raises(OSError, match="streamfan-kafka"):
        template.write_copy("kafka", here / "streamfan-kafka")

    assert [str(path.relative_to(here)) for path in here.rglob("*")] == ["streamfan-kafka", "streamfan-kafka/mine"]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left on device", "x"), 1)]
)
def test_copy_that_is_cut_short_leaves_nothing(
    here: Path, error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = template._write, list[Path]()

    def write_three(path: Path, text: str) -> None:
        if len(written) == 3:
            raise error
        written.append(path)
        write(path, text)

    monkeypatch.setattr(template, "_write", write_three)

    result = new_plugin("kafka")

    assert result.exit_code == code
    assert len(written) == 3
    assert list(here.iterdir()) == []


def test_directory_that_is_not_there_is_refused(here: Path) -> None:
    result = new_plugin("kafka", "--directory", "nowhere")

    assert result.exit_code == 2
    assert "'nowhere' does not exist" in result.stderr
    assert list(here.iterdir()) == []


def test_directory_that_cannot_be_written_to_is_told_of(here: Path) -> None:
    # Root may write anywhere, but not here.
    result = new_plugin("kafka", "--directory", "/dev/fd")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: '/dev/fd/streamfan-kafka' cannot be made: ")
