from __future__ import annotations

import pytest

from attacks.fuzz import attack
from attacks.report import Options


@pytest.mark.full
def test_damaged_input_gives_each_reader_only_its_own_errors() -> None:
    failures = attack(Options(seed=1, count=4000)).failures
    assert [failure for failure in failures if "Error" in failure] == []  # no test depends on speed
