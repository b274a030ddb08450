"""Reads the texts of the skills from `phrases/*.toml`, where [one|another] stands for a choice."""

from __future__ import annotations

import random
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("phrases")
_INNERMOST_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@cache
def read_phrases(name: str) -> dict[str, Any]:
    """Return one file as tables of texts, read once."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def choose_words(rng: random.Random, phrase: str) -> str:
    """Settle every choice in a phrase, the inner ones first."""
    while "[" in phrase:
        phrase = _INNERMOST_CHOICE.sub(lambda choice: rng.choice(choice[1].split("|")), phrase)
    return phrase


def can_become(phrase: str, text: str) -> bool:
    """Tell whether a phrase's choices can be settled so that it reads `text`."""
    # An alternative that stands twice for its likelihood needs to be tried once.
    parts = re.split(r"([\[\]|])", re.sub(r"\|{2,}", "|", phrase))
    meaning = {"[": "(?:", "]": ")", "|": "|"}
    return re.fullmatch("".join(meaning.get(part, re.escape(part)) for part in parts), text) is not None
