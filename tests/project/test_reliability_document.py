from __future__ import annotations

import re

from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
FAULTS = re.findall(r"^\| ([BC]\d+) \|.*\| ([^|]*) \|$", DOCUMENT, re.MULTILINE)


def test_each_fault_from_the_field_is_listed_once() -> None:
    numbers = [f"C{number}" for number in range(1, 14)] + [f"B{number}" for number in range(1, 15)]
    assert [number for number, _ in FAULTS] == numbers


def test_each_fault_names_tests_that_exist() -> None:
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests").rglob("test_*.py")
    )
    for _, tests in FAULTS:
        named = re.findall(r"`(test_\w+)`", tests)
        assert len(named) >= 2
        assert [name for name in named if f"def {name}(" not in sources] == []
