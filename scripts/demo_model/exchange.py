"""One question with its ideal thinking and answer, the unit that every skill produces."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from demo_model.phrases import choose_words, read_phrases


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
    `claim` is the answer as a clause that can follow "I checked again:". `work` is how the answer was found,
    where that isn't `thinking`.
    """

    question: str
    thinking: str
    answer: str
    review: str = ""
    claim: str = ""
    slip: Slip | None = None
    letter: str = ""
    work: str = ""


Skill = Callable[[random.Random, Language], Exchange]


def pick(rng: random.Random, choices: Sequence[str], **values: object) -> str:
    """Choose one text, settle its choices and fill in its fields."""
    return choose_words(rng, rng.choice(choices)).format(**values)


def ask(rng: random.Random, language: Language, choices: Sequence[str], **values: object) -> str:
    """Choose a question as `pick` does, now and then with a few words around it."""
    wrapping = read_phrases("wrapping")[language]
    return choose_words(rng, wrapping.replace("{q}", rng.choice(choices))).format(**values).strip()


def marks(answer: str) -> list[str]:
    """List the bold parts of an answer, which are what it must get right."""
    return re.findall(r"\*\*(.+?)\*\*", answer)
