"""Questions that need the clock or the calculator, in words and with values that training never shows.

`tool_questions.jsonl` has 200: a hundred in each language, half of them with thinking. They were written
before any of them was asked. `tests/demo_model/test_tool_questions.py` proves that no training text can
become one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from demo_model.exchange import Language
from qwen3_chat.chat import ThinkingMode

_FILE = Path(__file__).with_suffix(".jsonl")

TIME = "{time}"
"""The time of the clock's result, in the texts that an answer must contain."""


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """A call that a question needs, and what of its result the answer must contain."""

    name: str
    arguments: Mapping[str, str]
    answer: str

    def told_by(self, result: str) -> str:
        """Return the text that the answer must contain after this result; empty if the result has none."""
        if self.answer != TIME:
            return self.answer
        try:
            return str(json.loads(result)["time"])
        except (ValueError, TypeError, KeyError):
            return ""


@dataclass(frozen=True, slots=True)
class ToolQuestion:
    """A question, the mode to answer it in, and the calls that it needs in their order."""

    language: Language
    mode: ThinkingMode
    text: str
    calls: tuple[ExpectedCall, ...]


@cache
def tool_questions(file: Path | None = None) -> tuple[ToolQuestion, ...]:
    """Return all questions, the 200 or those of another file, read once."""
    return tuple(map(_question, (file or _FILE).read_text("utf-8").splitlines()))


def _question(line: str) -> ToolQuestion:
    row = json.loads(line)
    calls = zip(row["calls"], row["answer"], strict=True)
    return ToolQuestion(
        Language(row["language"]),
        ThinkingMode(row["mode"]),
        row["text"],
        tuple(ExpectedCall(call["name"], call["arguments"], answer) for call, answer in calls),
    )
