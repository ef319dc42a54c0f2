"""When a lane looks for text by itself."""

from __future__ import annotations

from math import inf

import pytest

from streamfan.lane.pace import Pace


def test_text_that_comes_now_and_then_is_left_to_others() -> None:
    pace = Pace(0.01)

    looks = []
    for second in range(5):
        pace.wrote(float(second))
        looks.append(pace.look_at(float(second)))

    assert looks == [inf] * 5
    assert not pace.flows


def test_while_text_flows_a_lane_looks_a_linger_after_it_wrote() -> None:
    pace = Pace(0.01)
    pace.wrote(1.0)

    pace.wrote(1.01)

    assert pace.flows
    assert pace.look_at(1.01) == pytest.approx(1.02)


def test_flow_is_over_where_a_look_has_found_nothing() -> None:
    pace = Pace(0.01)
    pace.wrote(1.0)
    pace.wrote(1.01)

    again = pace.look_at(1.02)

    assert again == pytest.approx(1.0225)
    assert pace.look_at(1.0251) == inf
    assert not pace.flows


def test_nobody_waits_for_a_lane_that_lingers_for_ever() -> None:
    pace = Pace(inf)
    pace.wrote(1.0)
    pace.wrote(1.01)

    assert pace.look_at(1.01) == inf


def test_lane_that_wants_each_piece_at_once_is_always_woken() -> None:
    pace = Pace(0.0)
    for number in range(100):
        pace.wrote(number / 1e6)

    assert pace.look_at(1e-4) == inf
    assert not pace.flows
