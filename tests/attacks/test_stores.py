"""A sample of the attack on stores."""

from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.stores import attack


@pytest.mark.full
def test_no_bad_store_ends_a_command() -> None:
    assert attack(Options(seed=7, count=40)).failures == []
