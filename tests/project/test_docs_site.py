"""The site of the documents: built from the repository's own files, with every link checked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from docs_site import SOURCE, build_site, copy_documents
from tests.conftest import REPOSITORY

CONFIG = REPOSITORY / "mkdocs.yml"
PAGE = re.compile(r"^ +- (\S+\.md)$", re.MULTILINE)


def test_every_document_has_its_place_in_the_site(tmp_path: Path) -> None:
    documents = {path.as_posix() for path in copy_documents(REPOSITORY, tmp_path)}
    pages = PAGE.findall(CONFIG.read_text("utf-8"))
    assert sorted(pages) == sorted(documents)
    assert all((tmp_path / page).read_bytes() == (REPOSITORY / page).read_bytes() for page in pages)


@pytest.mark.full
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs mkdocs-material")
    shutil.copy(CONFIG, tmp_path)
    copy_documents(REPOSITORY, tmp_path / SOURCE)
    built = build_site(tmp_path, tmp_path / CONFIG.name)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    site = tmp_path / "build" / "site" / "html"
    chinese = (site / "docs" / "zh" / "chat.html").read_text("utf-8")
    assert 'id="思考"' in chinese
    assert "<table>" in chinese
    assert 'srcset="docs/pictures/chat-zh-dark.svg"' in (site / "README.zh-CN.html").read_text("utf-8")
