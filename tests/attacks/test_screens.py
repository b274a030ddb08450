"""Random keys while screens open and close."""

from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.screens import attack

pytestmark = pytest.mark.full


def test_keys_while_screens_open_and_close_end_nothing() -> None:
    assert attack(Options(seed=5, count=4)).failures == []
