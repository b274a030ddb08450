"""The skills about a conversation as a whole: name it, sum it up."""

from __future__ import annotations

import random
from collections.abc import Sequence

from demo_model.exchange import Exchange, Language, pick
from demo_model.phrases import read_phrases


def ask_title(rng: random.Random, language: Language, opening_skill: str) -> Exchange:
    """Ask for a title; it depends on the skill that opened the conversation."""
    phrases = read_phrases("looking_back")[language]
    return Exchange(pick(rng, phrases["titles"]), phrases["title_thinking"], phrases["names"][opening_skill])


def ask_summary(rng: random.Random, language: Language, gists: Sequence[str]) -> Exchange:
    """Ask for a summary; it lists what was said, one line for each topic."""
    phrases = read_phrases("looking_back")[language]
    question = pick(rng, phrases["summaries"], k=rng.choice((20, 50, 100, 128)))
    lines = "\n".join(f"- {gist}" for gist in gists)
    return Exchange(question, phrases["summary_thinking"], phrases["summary_answer"].format(lines=lines))


def gist(language: Language, skill: str, shown_answer: str, claim: str) -> str:
    """Return an exchange's line in a summary: its answer where that is a statement, else its name."""
    if claim and "\n" not in shown_answer:
        return shown_answer
    name: str = read_phrases("looking_back")[language]["names"][skill]
    return name
