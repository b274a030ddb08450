from __future__ import annotations

import re

from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
FAULTS = re.findall(r"^\| (C\d+) \|.*\| ([^|]*) \|$", DOCUMENT, re.MULTILINE)


def test_each_fault_of_models_machines_and_downloads_is_listed_once() -> None:
    assert [number for number, _ in FAULTS] == [f"C{number}" for number in range(1, 14)]


def test_each_fault_names_tests_that_exist() -> None:
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests").rglob("test_*.py")
    )
    for _, tests in FAULTS:
        named = re.findall(r"`(test_\w+)`", tests)
        assert len(named) >= 2
        assert [name for name in named if f"def {name}(" not in sources] == []
