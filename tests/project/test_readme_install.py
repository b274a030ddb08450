from __future__ import annotations

import re

import pytest

from readme_install import IS_PUBLISHED, READMES, install_part
from settings_document import replace_part
from tests.conftest import REPOSITORY

FROM_INDEX = re.compile(
    r"(?:pip|pipx|uv|uvx)\b[^\n`]*\b(?:install|run|add)\b[^\n`]*[ '\"]qwen3-chat\b|uvx qwen3-chat"
)
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.mark.parametrize("language", READMES)
def test_a_readme_shows_the_install_lines_that_the_constant_chooses(language: str) -> None:
    text = READMES[language].read_text("utf-8")
    part = install_part(language, is_published=IS_PUBLISHED)
    assert replace_part(text, "install", part) == text, "python scripts/readme_install.py writes it anew"
    assert part in text


@pytest.mark.parametrize("language", READMES)
def test_the_lines_name_the_index_only_once_the_package_is_there(language: str) -> None:
    assert FROM_INDEX.search(install_part(language, is_published=False)) is None
    assert FROM_INDEX.search(install_part(language, is_published=True)) is not None


def test_no_document_installs_from_an_index_that_lacks_the_package() -> None:
    claims = {path.name for path in DOCUMENTS if FROM_INDEX.search(path.read_text("utf-8"))}
    assert IS_PUBLISHED or claims == set()
