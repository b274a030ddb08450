from __future__ import annotations

import pytest

from attacks.model_files import attack
from attacks.report import Options

pytestmark = pytest.mark.full


def test_a_sample_of_broken_model_files_is_told_in_sentences() -> None:
    report = attack(Options(seed=3, count=12))
    assert report.failures == []
