from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCUMENTS = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not {".venv", "build"} & set(path.relative_to(REPOSITORY).parts[:1])
]
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]+`")


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def prose_of(path: Path) -> str:
    """A document without its blocks of code."""
    return BLOCK.sub("", path.read_text("utf-8"))


def links_of(path: Path) -> Iterator[str]:
    """The targets of a document's links, without those in code."""
    yield from (match["target"] for match in LINK.finditer(CODE.sub("", prose_of(path))))


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, as the repository host names them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading_of_it(path: Path) -> None:
    dead = []
    for target in links_of(path):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_link_claims_an_address_of_the_project(path: Path) -> None:
    assert [target for target in links_of(path) if ":" in target and "qwen3-chat" in target] == []
