from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.servers import attack


@pytest.mark.full
def test_hostile_servers_neither_end_the_app_nor_fill_its_memory() -> None:
    failures = attack(Options(seed=1, count=4)).failures
    assert [failure for failure in failures if "Esc took" not in failure] == []  # no test depends on speed
