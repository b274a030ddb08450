"""Random actions while answers stream."""

from __future__ import annotations

import pytest

from attacks.actions import attack
from attacks.report import Options


@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 60), pytest.param(1, 200, marks=pytest.mark.full), pytest.param(7, 400, marks=pytest.mark.full)],
)
def test_random_actions_leave_screen_session_and_store_in_agreement(seed: int, count: int) -> None:
    assert attack(Options(seed, count)).failures == []
