"""Turns that are stopped at random points."""

from __future__ import annotations

import pytest

from attacks.cancels import attack
from attacks.report import Options


@pytest.mark.parametrize(("seed", "count"), [(3, 60), pytest.param(11, 200, marks=pytest.mark.full)])
def test_turns_that_are_stopped_at_random_points_leave_everything_in_agreement(seed: int, count: int) -> None:
    assert attack(Options(seed, count)).failures == []
