"""The questions that look back at the last answer: "Really?" and "Why?"."""

from __future__ import annotations

import random

from demo_model.exchange import Exchange, Language, marks, pick
from demo_model.phrases import read_phrases


def doubt(rng: random.Random, language: Language, previous: Exchange, *, was_wrong: bool) -> Exchange:
    """Doubt the previous answer; the reply repeats the work and says what comes out."""
    phrases = read_phrases("follow_ups")[language]
    question = pick(rng, phrases["doubts"])
    if not previous.review:
        return Exchange(question, phrases["nothing_thinking"], phrases["nothing_answer"])
    shown = previous.slip.answer if previous.slip and was_wrong else previous.answer
    said = (marks(shown) or ["0"])[0]
    if language is Language.EN:
        thinking = f"The user doubts my answer. {previous.review} Before, I said {said}."
        answer = f"I checked again: {previous.claim}."
    else:
        thinking = f"用户怀疑我的回答。{previous.review}我刚才说的是{said}。"
        answer = f"我又检查了一遍：{previous.claim}。"
    return Exchange(
        question,
        thinking,
        answer,
        previous.review,
        previous.claim,
        letter=previous.letter,
        work=previous.work or previous.thinking,
    )


def ask_reason(rng: random.Random, language: Language, previous: Exchange) -> Exchange:
    """Ask why; the reply shows the work."""
    phrases = read_phrases("follow_ups")[language]
    question = pick(rng, phrases["reasons"])
    if not previous.review:
        return Exchange(question, phrases["no_reason_thinking"], phrases["no_reason_answer"])
    work = previous.work or previous.thinking
    answer = phrases["reason_answer"].format(work=work)
    return Exchange(
        question,
        phrases["reason_thinking"],
        answer,
        previous.review,
        previous.claim,
        letter=previous.letter,
        work=work,
    )
