"""What every test shares: settings, and an environment that is nobody's.

Fixtures live beside the tests that use them; here is only what must be in place before the first import.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import faults

# A developer's own Redis or sink settings must not decide whether a test passes.
for name in [name for name in os.environ if name == "REDIS_URL" or name.startswith("STREAMFAN_")]:
    del os.environ[name]

# Read when huggingface_hub and tokenizers are first imported: no test may reach the network, or warn after a fork.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# Read when torch is: models this small gain nothing from a second thread, and lose much when the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"

# No deadline: the machine may be busy. In CI the examples are always the same, so a red run can be had again.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if "CI" in os.environ else "default")

WITHOUT_FAULTS = "--without-faults"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    parser.addoption(
        WITHOUT_FAULTS, action="store_true", help="let nothing go wrong: the tests of guarantees must all fail"
    )
    # Read here: pytest knows its options only when other conftest.py have been imported, and deadlines with them.
    # And not from sys.argv, which in a process that pytest-xdist has started says nothing.
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    if WITHOUT_FAULTS in config.invocation_params.args:
        faults.switch_off()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # Of those that show no guarantee many are slow to import.
    passed_over = faults.switched_off() and collection_path.suffix == ".py"
    return True if passed_over and "guarantee(" not in collection_path.read_text("utf-8") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not faults.switched_off():
        return
    guarantees = [item for item in items if item.get_closest_marker("guarantee")]
    config.hook.pytest_deselected(items=[item for item in items if item not in guarantees])
    items[:] = guarantees
    # Only what a test says itself: an error of another kind would show that it breaks, not that it looks.
    failing = pytest.mark.xfail(
        strict=True, raises=(AssertionError, pytest.fail.Exception), reason="it is not about the fault"
    )
    for item in items:
        item.add_marker(failing)
