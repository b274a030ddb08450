from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.stops import attack


@pytest.mark.full
def test_stops_at_random_moments_leave_the_app_and_its_terminal_as_they_were() -> None:
    assert attack(Options(seed=7, count=4)).failures == []
