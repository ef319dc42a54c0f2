"""The Gradio example, in a browser with two tabs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from streamfan import subscribe
from streamfan.events import End
from tests.support.redis_server import RedisServer, free_port
from tests.support.sinks import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

EXAMPLES = Path(__file__).parents[2] / "examples"
# An endless story, told no faster than somebody opens a second tab.
SLOWLY = """
import time
import gradio_demo
gradio_demo.model.generation_config.eos_token_id = None
gradio_demo.model.register_forward_pre_hook(lambda *_: time.sleep(0.15))
with gradio_demo.fan:
    gradio_demo.page.launch(server_name="127.0.0.1", server_port=PORT, quiet=True)
"""
PATIENCE = 30_000


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def url(server: RedisServer) -> Iterator[str]:
    port = free_port()
    environ = {
        **os.environ,
        "REDIS_URL": server.url,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", SLOWLY.replace("PORT", str(port))]
    with subprocess.Popen(command, env=environ) as process:
        try:
            wait_until(lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{port}"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except OSError:
        return False


@pytest.fixture
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "Try: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def shown(page: Page) -> str:
    """The answer in the tab that asked."""
    return page.locator('[data-testid="bot"]').last.inner_text()


def watched(page: Page) -> str:
    return page.locator("#watched textarea").input_value()


@pytest.mark.timeout(150)
def test_second_tab_sees_the_whole_text_and_stop_stops_the_model(
    browser: Browser, url: str, server: RedisServer
) -> None:
    errors: list[str] = []
    first, second = browser.new_page(), browser.new_page()
    for page in (first, second):
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("response", lambda response: errors.append(response.url) if response.status >= 400 else None)
    first.goto(url)
    first.locator("textarea:enabled").fill("Tell me about a fox")
    first.keyboard.press("Enter")
    first.locator('[data-testid="bot"]').wait_for()
    wait_until(lambda: len(shown(first)) > 20)
    early = shown(first)
    wait_until(lambda: len(shown(first)) > len(early))

    second.goto(url)
    wait_until(lambda: len(watched(second)) > len(early))
    assert watched(second).startswith(early.strip())

    first.locator("button.stop-button").click()
    (stream,) = server.client.zrange("streamfan:streams", 0, -1)
    *_, end = subscribe(server.url, stream, events=True)
    assert isinstance(end, End)
    assert end.finish_reason == "cancelled"
    assert end.tokens < 200
    whole = "".join(subscribe(server.url, stream))
    wait_until(lambda: watched(second) == whole)
    assert errors == []
