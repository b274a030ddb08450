from __future__ import annotations

import re

from public_names import public_names
from qwen3_chat.texts import Language, load_catalogue
from tests.conftest import REPOSITORY

GLOSSARY = (REPOSITORY / "docs" / "glossary.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in GLOSSARY.splitlines()
    if line.startswith("| ") and not line.startswith("| term ")
]


def test_each_term_stands_once_with_its_meaning_in_two_languages() -> None:
    assert len(ROWS) >= 60
    terms = [term for term, *_ in ROWS]
    assert sorted({term for term in terms if terms.count(term) > 1}) == []
    assert [row for row in ROWS if len(row) != 4 or row[2].count("<br>") != 1] == []


def test_the_chinese_is_that_of_the_app() -> None:
    texts = "\n".join(load_catalogue(Language.ZH).values())
    chinese = [term for _, term, *_ in ROWS]
    assert [term for term in chinese if not term.endswith("*") and term not in texts] == []


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    names = {name.where.removeprefix("qwen3_chat.") for name in public_names()}
    known = {
        part for where in names for part in (where, where.partition(":")[2], re.split(r"[.:(]", where)[-1])
    }
    named = [name for *_, cell in ROWS for name in re.findall(r"`([^`]+)`", cell)]
    assert [name for name in named if name not in known] == []
