from __future__ import annotations

import inspect

import pluggy
import pytest

import streamfan
from streamfan import hookspecs

HOOKS = {name: value for name, value in vars(hookspecs).items() if name.startswith("streamfan_")}


def test_every_hook_of_the_module_is_one_for_pluggy() -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)

    manager.add_hookspecs(hookspecs)

    assert {name for name in HOOKS if getattr(manager.hook, name).has_spec()} == {
        "streamfan_sinks",
        "streamfan_sources",
        "streamfan_finished",
    }


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_it_is_called(name: str) -> None:
    assert "Called once" in (inspect.getdoc(HOOKS[name]) or "")


def test_marker_is_a_public_name() -> None:
    assert streamfan.hookimpl is hookspecs.hookimpl
