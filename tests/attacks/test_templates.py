from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.templates import attack

pytestmark = pytest.mark.full


def test_a_sample_of_hostile_templates_is_told_in_sentences() -> None:
    report = attack(Options(seed=3, count=6))
    assert report.failures == []
