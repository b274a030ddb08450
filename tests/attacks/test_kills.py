"""A sample of the kills at random moments."""

from __future__ import annotations

import pytest

from attacks.kills import attack
from attacks.report import Options


@pytest.mark.full
def test_no_kill_loses_a_message() -> None:
    assert attack(Options(seed=3, count=4)).failures == []
