"""Sets the demo model questions that its training data can't contain, with what marks a right answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from demo_model import arithmetic, counting, facts
from demo_model.conversations import SKILLS
from demo_model.exchange import Exchange, Language, marks, pick
from demo_model.follow_ups import doubt
from demo_model.phrases import read_phrases
from demo_model.words import held_out_words


@dataclass(frozen=True, slots=True)
class Question:
    """A last question, the exchanges before it as (question, answer), and the ideal answer."""

    history: tuple[tuple[str, str], ...]
    text: str
    ideal: str


Setter = Callable[[random.Random, Language], Question]


def is_right(question: Question, answer: str) -> bool:
    """Tell whether an answer has the ideal one's bold parts, or is the same where that has none."""
    if not marks(question.ideal):
        return answer == question.ideal
    return marks(answer) == marks(question.ideal)


def _from(exchange: Exchange, *history: tuple[str, str]) -> Question:
    return Question(history, exchange.question, exchange.answer)


def _set_count(kind: str) -> Setter:
    def setter(rng: random.Random, language: Language) -> Question:
        word = rng.choice(held_out_words())
        letter = counting.draw_letter(rng, word)
        file, key = ("exam", "count") if kind == "unseen" else ("counting", "count")
        text = pick(rng, read_phrases(file)[language][key], l=letter, w=word)
        return _from(counting.count_in(rng, language, text, word, letter))

    return setter


def _set_next_count(rng: random.Random, language: Language) -> Question:
    words = rng.sample(held_out_words(), 2)
    letter = rng.choice(words[0])
    phrases = read_phrases("counting")[language]
    first = counting.count_in(
        rng, language, pick(rng, phrases["count"], l=letter, w=words[0]), words[0], letter
    )
    text = pick(rng, phrases[rng.choice(("count_next", "count_same_letter"))], l=letter, w=words[1])
    return _from(counting.count_in(rng, language, text, words[1], letter), (first.question, first.answer))


def _set_doubt(rng: random.Random, language: Language) -> Question:
    word = rng.choice(held_out_words())
    letter = counting.draw_letter(rng, word)
    text = pick(rng, read_phrases("counting")[language]["count"], l=letter, w=word)
    first = counting.count_in(rng, language, text, word, letter)
    was_wrong = first.slip is not None and rng.random() < 0.5
    shown = first.slip.answer if first.slip and was_wrong else first.answer
    return _from(doubt(rng, language, first, was_wrong=was_wrong), (first.question, shown))


def _set_sum(rng: random.Random, language: Language) -> Question:
    first, second = arithmetic.draw_addends(rng, held_out=True)
    text = pick(rng, read_phrases("arithmetic")[language]["sum"], a=first, b=second)
    return _from(arithmetic.add_pair(rng, language, text, first, second))


def _set_comparison(rng: random.Random, language: Language) -> Question:
    first, second = arithmetic.draw_decimals(rng, held_out=True)
    text = pick(rng, read_phrases("arithmetic")[language]["comparison"], a=first, b=second)
    return _from(arithmetic.compare_pair(rng, language, text, first, second))


def _set_fact(rng: random.Random, language: Language) -> Question:
    return _from(rng.choice((facts.recall_capital, facts.recall_fact))(rng, language))


SETTERS: Mapping[str, Setter] = {
    "count letters in unseen words": _set_count("known"),
    "the same, unseen phrasings": _set_count("unseen"),
    "count in a follow-up": _set_next_count,
    '"Really?" after a count, half of them wrong': _set_doubt,
    "add unseen numbers": _set_sum,
    "compare unseen decimals": _set_comparison,
    "facts": _set_fact,
}


def set_questions(skill: str, language: Language, n: int, seed: int) -> Iterator[Question]:
    """Set `n` questions, the same for the same seed."""
    rng = random.Random(f"exam:{seed}:{skill}:{language}")
    for _ in range(n):
        yield SETTERS[skill](rng, language)


def set_tagged_chats(n: int, seed: int) -> Iterator[tuple[Question, bool]]:
    """Set `n` chats of two to six turns with tags; the flag says whether the last reply must think."""
    rng = random.Random(f"exam:{seed}:tags")
    for _ in range(n):
        language = rng.choice(list(Language))
        thinks = True
        turns: list[tuple[str, str]] = []
        for _ in range(rng.randint(2, 6)):
            exchange = rng.choices(list(SKILLS), list(SKILLS.values()))[0](rng, language)
            tag = rng.choice(("", "", "", " /think", " /no_think"))
            thinks = tag == " /think" if tag else thinks
            turns.append((exchange.question + tag, exchange.answer))
        yield Question(tuple(turns[:-1]), *turns[-1]), thinks
