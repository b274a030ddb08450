from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text("utf-8")
PATH = re.compile(r"`((?:qwen3_chat/|tests/|scripts/)?[\w/]+\.py)`")
FOLDERS = [REPOSITORY / folder for folder in (".", "scripts", "qwen3_chat", "qwen3_chat/engine/remote")]


def test_the_table_of_layers_is_the_contract() -> None:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    contract = [
        {name.strip().removeprefix("qwen3_chat.") for name in layer.split("|")}
        for layer in pyproject["tool"]["importlinter"]["contracts"][0]["layers"]
    ]
    table = ARCHITECTURE.partition("## Layers")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    assert [set(re.findall(r"`([\w.]+)`", cell)) for cell in cells] == contract


@pytest.mark.parametrize(
    "document",
    [
        "AGENTS.md",
        "CONTRIBUTING.md",
        *(
            f"docs/{name}.md"
            for name in ("architecture", "development", "glossary", "model-fit", "peers", "speed")
        ),
    ],
)
def test_every_source_file_that_a_document_names_exists(document: str) -> None:
    text = (REPOSITORY / document).read_text("utf-8")
    named = [name for name in PATH.findall(text) if name.islower()]  # NAME stands for any
    missing = [name for name in named if not any(Path(folder, name).exists() for folder in FOLDERS)]
    assert missing == []
