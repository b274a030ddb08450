from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.terminal_bytes import MIN_SCRIPT_BYTES, attack, write_script


@pytest.mark.full
def test_scripts_of_bytes_end_freeze_and_steer_nothing() -> None:
    assert attack(Options(seed=7, count=10)).failures == []


def test_the_same_seed_gives_the_same_scripts() -> None:
    from random import Random

    first, again, other = (write_script(Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) >= MIN_SCRIPT_BYTES
