"""A few turns of the soak; how memory grows takes many more of them to tell."""

from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.soak import attack

pytestmark = pytest.mark.full


def test_some_turns_with_random_keys_on_the_demo_model_end_nothing_and_leave_the_store_whole() -> None:
    report = attack(Options(seed=5, count=12))
    assert report.figures["integrity_check"] == "ok"
    assert [failure for failure in report.failures if "grows" not in failure] == []
