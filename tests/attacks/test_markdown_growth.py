from __future__ import annotations

import pytest

from attacks import markdown_growth
from attacks.report import Options


@pytest.mark.full
def test_every_kind_of_endless_text_is_read_to_its_end() -> None:
    report = markdown_growth.attack(Options(count=20))
    names = [*markdown_growth.MARKDOWN, *markdown_growth.PLAIN, *markdown_growth.REPLIES]
    assert list(report.figures) == names  # the ratios are for the attack itself: no test depends on time
