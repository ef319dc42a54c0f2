from __future__ import annotations

import io
from typing import Any, cast

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from streamfan.errors import Permanent, SinkClosed
from tests.support.deliveries import deliver
from tests.support.standard_output import OutputFile, connected


def test_standard_output_without_a_descriptor_gets_the_text() -> None:
    buffer = io.BytesIO()
    output = io.TextIOWrapper(buffer, "utf-8")
    sink = connected(output)

    deliver(sink, "naïve ", "日本語")
    deliver(sink, "second")

    assert buffer.getvalue().decode() == "naïve 日本語\nsecond"


class WriteOnly:
    """As little as `print` needs."""

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = encoding
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text if self.encoding is None else text.encode(self.encoding).decode(self.encoding)
        return len(text)


def test_object_that_can_only_write_is_enough() -> None:
    output = WriteOnly()

    deliver(connected(output), "a", "b")

    assert output.text == "ab"


def test_what_an_encoding_lacks_is_shown_as_an_escape() -> None:
    output = WriteOnly("latin-1")

    deliver(connected(output), "naïve ", "語")

    assert output.text == "naïve \\u8a9e"


class NotebookOutput(io.StringIO):
    """Shows text in the notebook, but has the descriptor of the terminal that the notebook's server runs in."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


def test_text_goes_to_the_notebook_and_not_to_its_server(output_file: OutputFile) -> None:
    notebook = NotebookOutput(output_file.stream.fileno())

    deliver(connected(notebook), "Hello")

    assert notebook.getvalue() == "Hello"
    assert output_file.content == ""


def test_progress_display_of_rich_does_not_hold_text_back(output_file: OutputFile) -> None:
    display = FileProxy(Console(file=io.StringIO()), output_file.stream)

    deliver(connected(display), "no line's end")

    assert output_file.content == "no line's end"


class InteractiveOutput(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_interactive_output_without_a_descriptor_is_a_terminal() -> None:
    output = InteractiveOutput()

    deliver(connected(output), "a\x1bb")

    assert output.getvalue() == "a␛b\n"


class BrokenOutput(io.StringIO):
    def __init__(self, method: str, error: OSError) -> None:
        super().__init__()
        self._method, self._error = method, error

    def write(self, text: str) -> int:
        return cast("int", self._do("write"))

    def flush(self) -> None:
        self._do("flush")

    def _do(self, method: str) -> Any:
        if method == self._method:
            raise self._error


@pytest.mark.parametrize("method", ["write", "flush"])
@pytest.mark.parametrize(("error", "raised"), [(BrokenPipeError(), SinkClosed), (OSError("broken"), Permanent)])
def test_text_whose_writing_failed_is_not_sent_again(method: str, error: OSError, raised: type[Exception]) -> None:
    sink = connected(BrokenOutput(method, error))

    with pytest.raises(raised):
        deliver(sink, "x")


def closed_file() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed_file()])
def test_closed_standard_output_is_an_error_at_once(stream: io.StringIO | None) -> None:
    with pytest.raises(Permanent, match="standard output is closed"):
        connected(stream)
