"""Makes questions that the demo model's training data can't contain, with the ideal reply to each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from demo_model import arithmetic, counting, facts
from demo_model.exchange import Exchange, Language, Skill, pick
from demo_model.follow_ups import ask_reason, doubt
from demo_model.instructions import draw_brevity_prompt, draw_language_prompt, shorten
from demo_model.looking_back import ask_summary, ask_title
from demo_model.phrases import read_phrases
from demo_model.render import Message
from demo_model.words import held_out_words


@dataclass(frozen=True, slots=True)
class Question:
    """What is said before the reply, the tools on offer, and the ideal reply."""

    messages: tuple[Message, ...]
    ideal: Message
    tools: tuple[Message, ...] = ()


Setter = Callable[[random.Random, Language], Question]


def user(text: str) -> Message:
    """Write a user's message."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """Write a reply that was given."""
    return {"role": "assistant", "content": text}


def after(*said: tuple[Exchange, str], then: Exchange, system: str = "") -> Question:
    """Set a question after what was said."""
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for exchange, shown in said:
        messages += [user(exchange.question), assistant(shown)]
    return Question((*messages, user(then.question)), assistant(then.answer))


def count(rng: random.Random, language: Language, file: str = "counting", key: str = "count") -> Exchange:
    """Ask for a letter of a held-out word."""
    word = rng.choice(held_out_words())
    letter = counting.draw_letter(rng, word)
    text = pick(rng, read_phrases(file)[language][key], l=letter, w=word)
    return counting.count_in(rng, language, text, word, letter)


def add(rng: random.Random, language: Language, file: str = "arithmetic") -> Exchange:
    """Ask for the sum of held-out numbers."""
    first, second = arithmetic.draw_addends(rng, held_out=True)
    text = pick(rng, read_phrases(file)[language]["sum"], a=first, b=second)
    return arithmetic.add_pair(rng, language, text, first, second)


def subtract(rng: random.Random, language: Language) -> Exchange:
    """Ask for the difference of held-out numbers."""
    first, second = sorted(arithmetic.draw_addends(rng, held_out=True), reverse=True)
    text = pick(rng, read_phrases("arithmetic")[language]["difference"], a=first, b=second)
    return arithmetic.subtract_pair(rng, language, text, first, second)


def compare(rng: random.Random, language: Language, file: str = "arithmetic") -> Exchange:
    """Ask which of two held-out numbers is larger."""
    first, second = arithmetic.draw_decimals(rng, held_out=True)
    text = pick(rng, read_phrases(file)[language]["comparison"], a=first, b=second)
    return arithmetic.compare_pair(rng, language, text, first, second)


def recall(rng: random.Random, language: Language) -> Exchange:
    """Ask for a fact."""
    return rng.choice((facts.recall_capital, facts.recall_fact))(rng, language)


def recall_unseen(rng: random.Random, language: Language) -> Exchange:
    """Ask for a capital in the exam's own words."""
    country = rng.choice(read_phrases("facts")["capitals"])
    name = country[0 if language is Language.EN else 2]
    return facts.capital_of(language, pick(rng, read_phrases("exam")[language]["capital"], c=name), country)


def spell(rng: random.Random, language: Language) -> Exchange:
    """Ask for a held-out word backwards."""
    return counting.spell_backwards_of(rng, language, rng.choice(held_out_words())[:9])


def alone(draw: Skill) -> Setter:
    """Set an exchange without a history."""
    return lambda rng, language: after(then=draw(rng, language))


def unseen(draw: Callable[..., Exchange]) -> Setter:
    """Set an exchange in the exam's own words."""
    return lambda rng, language: after(then=draw(rng, language, "exam"))


def set_next_count(rng: random.Random, language: Language) -> Question:
    """Ask for another word after a count."""
    first, second = rng.sample(held_out_words(), 2)
    letter = rng.choice(first)
    phrases = read_phrases("counting")[language]
    opening = counting.count_in(rng, language, pick(rng, phrases["count"], l=letter, w=first), first, letter)
    text = pick(rng, phrases[rng.choice(("count_next", "count_same_letter"))], l=letter, w=second)
    return after((opening, opening.answer), then=counting.count_in(rng, language, text, second, letter))


def set_doubt(rng: random.Random, language: Language) -> Question:
    """Doubt a count, every second of them wrong."""
    first = count(rng, language)
    was_wrong = first.slip is not None and rng.random() < 0.5
    shown = first.slip.answer if first.slip and was_wrong else first.answer
    return after((first, shown), then=doubt(rng, language, first, was_wrong=was_wrong))


def set_reason(rng: random.Random, language: Language) -> Question:
    """Ask why after a count or a comparison."""
    first = rng.choice((count, count, compare))(rng, language)
    return after((first, first.answer), then=ask_reason(rng, language, first))


def set_summary(rng: random.Random, language: Language) -> Question:
    """Ask for a summary of one to four exchanges."""
    said = [rng.choice((count, recall, compare))(rng, language) for _ in range(rng.randint(1, 4))]
    pairs = [(exchange, exchange.answer) for exchange in said]
    return after(*pairs, then=ask_summary(rng, language, [exchange.answer for exchange in said]))


def set_title(rng: random.Random, language: Language) -> Question:
    """Ask for a title after one exchange."""
    name, draw = rng.choice(
        (
            ("count_letters", count),
            ("add", add),
            ("compare", compare),
            ("recall_capital", facts.recall_capital),
        )
    )
    first = draw(rng, language)
    return after((first, first.answer), then=ask_title(rng, language, name))


def set_language(rng: random.Random, language: Language) -> Question:
    """Ask in one language where the system prompt wants the other."""
    asked = Language.EN if language is Language.ZH else Language.ZH
    system = draw_language_prompt(rng, rng.choice(list(Language)), language)
    word = rng.choice(held_out_words())
    letter = counting.draw_letter(rng, word)
    text = pick(rng, read_phrases("counting")[asked]["count"], l=letter, w=word)
    return after(then=counting.count_in(rng, language, text, word, letter), system=system)


def set_brevity(rng: random.Random, language: Language) -> Question:
    """Ask where the system prompt wants brevity."""
    exchange = shorten(language, counting.count_letters, rng.choice((count, compare, recall))(rng, language))
    return after(then=exchange, system=draw_brevity_prompt(rng, language))
