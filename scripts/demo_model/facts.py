"""The few dozen facts the demo model knows."""

from __future__ import annotations

import random

from demo_model.counting import state
from demo_model.exchange import Exchange, Language, pick
from demo_model.phrases import read_phrases


def _recall(language: Language, question: str, claim: str) -> Exchange:
    plain = claim.replace("**", "")
    if language is Language.EN:
        thinking, review = f"I know this fact: {plain}.", f"I think about it again: {plain}."
    else:
        thinking, review = f"这是一个常识：{plain}。", f"再想一遍：{plain}。"
    return Exchange(question, thinking, state(language, claim), review, claim)


def recall_capital(rng: random.Random, language: Language) -> Exchange:
    """Ask for a country's capital."""
    questions = read_phrases("facts")[language]["capital"]
    country_en, city_en, country_zh, city_zh = rng.choice(read_phrases("facts")["capitals"])
    if language is Language.EN:
        return _recall(
            language,
            pick(rng, questions, c=country_en),
            f"the capital of {country_en} is **{city_en}**",
        )
    return _recall(language, pick(rng, questions, c=country_zh), f"{country_zh}的首都是**{city_zh}**")


def recall_fact(rng: random.Random, language: Language) -> Exchange:
    """Ask for one of the other facts."""
    claim, *questions = rng.choice(read_phrases("facts")[language]["others"])
    return _recall(language, rng.choice(questions), claim)
