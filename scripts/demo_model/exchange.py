"""One question with its ideal thinking and answer, the unit that every skill produces."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """The languages the demo model speaks."""

    EN = "en"
    ZH = "zh"


@dataclass(frozen=True, slots=True)
class Slip:
    """A wrong answer that a history may hold, for the model to notice when it is doubted."""

    answer: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, what to think about it, and what to answer.

    `review` is the thinking that repeats the work; an exchange without one is never doubted in the data.
    `claim` is the answer as a clause that can follow "I checked again:".
    """

    question: str
    thinking: str
    answer: str
    review: str = ""
    claim: str = ""
    slip: Slip | None = None
    letter: str = ""


Skill = Callable[[random.Random, Language], Exchange]


def pick(rng: random.Random, choices: Sequence[str], **values: object) -> str:
    """Choose one text and fill in its fields."""
    return rng.choice(choices).format(**values)


def marks(answer: str) -> list[str]:
    """List the bold parts of an answer, which are what it must get right."""
    return re.findall(r"\*\*(.+?)\*\*", answer)
