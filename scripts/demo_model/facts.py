"""The few dozen facts the demo model knows."""

from __future__ import annotations

import random
from collections.abc import Sequence

from demo_model.counting import state
from demo_model.exchange import Exchange, Language, ask, pick
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
    country = rng.choice(read_phrases("facts")["capitals"])
    question = ask_for_capital(rng, language, country)
    return capital_of(language, question, country)


def ask_for_capital(rng: random.Random, language: Language, country: Sequence[str]) -> str:
    """Ask for the capital of a row of the table."""
    return ask(
        rng,
        language,
        read_phrases("facts")[language]["capital"],
        c=country[0 if language is Language.EN else 2],
    )


def capital_of(language: Language, question: str, country: Sequence[str]) -> Exchange:
    """Answer a question for the capital of a row of the table."""
    country_en, city_en, country_zh, city_zh = country
    if language is Language.EN:
        return _recall(language, question, f"the capital of {country_en} is **{city_en}**")
    return _recall(language, question, f"{country_zh}的首都是**{city_zh}**")


def recall_next_capital(rng: random.Random, language: Language) -> Exchange:
    """Ask for another country's capital without saying so."""
    country = rng.choice(read_phrases("facts")["capitals"])
    name = country[0 if language is Language.EN else 2]
    return capital_of(
        language, pick(rng, read_phrases("follow_ups")[language]["next_capital"], c=name), country
    )


def recall_fact(rng: random.Random, language: Language) -> Exchange:
    """Ask for one of the other facts."""
    claim, *questions = rng.choice(read_phrases("facts")[language]["others"])
    return _recall(language, ask(rng, language, questions), claim)
