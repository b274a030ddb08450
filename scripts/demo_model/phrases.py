"""Reads the texts of the skills from `phrases/*.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("phrases")


@cache
def read_phrases(name: str) -> dict[str, Any]:
    """Return one file as tables of texts, read once."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
