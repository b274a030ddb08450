from __future__ import annotations

import re

from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "peers.md").read_text(encoding="utf-8")


def test_every_proof_that_is_named_exists() -> None:
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests").rglob("test_*.py")
    )
    named = re.findall(r"`(test_\w+)`", DOCUMENT)
    assert [name for name in named if f"def {name}(" not in sources] == []
    places = re.findall(r"`(tests/[\w/.]+)`", DOCUMENT)
    assert [place for place in places if not (REPOSITORY / place).exists()] == []


def test_every_line_has_a_proof() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and "---" not in line]
    claims = [row for row in rows if not row.endswith("| proof |")]
    assert len(claims) >= 40
    assert [row for row in claims if "`test" not in row and "| above |" not in row] == []
