from __future__ import annotations

import pytest

from attacks.code_blocks import attack
from attacks.report import Options


@pytest.mark.full
def test_no_lexer_makes_the_event_loop_pause() -> None:
    assert attack(Options(seed=1, count=12)).failures == []
