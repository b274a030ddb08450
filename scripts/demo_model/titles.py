"""The skill of naming a conversation."""

from __future__ import annotations

import random

from demo_model.exchange import Exchange, Language
from demo_model.phrases import read_phrases


def ask_title(rng: random.Random, language: Language, opening_skill: str) -> Exchange:
    """Ask for a title; it depends on the skill that opened the conversation."""
    phrases = read_phrases("titles")[language]
    return Exchange(rng.choice(phrases["questions"]), phrases["thinking"], phrases[opening_skill])
