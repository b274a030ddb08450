from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.tool_kills import attack


@pytest.mark.full
def test_a_turn_with_a_call_that_was_killed_goes_on_with_one_result_for_each_call() -> None:
    assert attack(Options(seed=2, count=3)).failures == []
