"""System prompts, and exchanges that obey them in language and brevity."""

from __future__ import annotations

import random
from dataclasses import replace

from demo_model import arithmetic, counting, facts, talk
from demo_model.exchange import Exchange, Language, Skill, ask, marks, pick
from demo_model.phrases import choose_words, read_phrases
from demo_model.words import draw_word

BRIEF_SKILLS: tuple[Skill, ...] = (
    counting.count_letters,
    counting.count_letters,
    arithmetic.add,
    arithmetic.compare,
    facts.recall_capital,
    facts.recall_fact,
    talk.greet,
    talk.tell_identity,
    talk.accept_thanks,
    talk.say_goodbye,
    talk.refuse,
)
_TALK: tuple[Skill, ...] = (
    talk.greet,
    talk.tell_identity,
    talk.tell_abilities,
    talk.accept_thanks,
    talk.say_goodbye,
    talk.refuse,
)


def draw_plain_prompt(rng: random.Random, language: Language) -> str:
    """Draw a system prompt that changes nothing."""
    return pick(rng, read_phrases("instructions")[language]["plain"])


def draw_language_prompt(rng: random.Random, written_in: Language, wanted: Language) -> str:
    """Draw a system prompt that asks for answers in a language."""
    phrases = read_phrases("instructions")[written_in]
    name = choose_words(rng, phrases["english" if wanted is Language.EN else "chinese"])
    return pick(rng, phrases["language"], l=name)


def draw_brevity_prompt(rng: random.Random, language: Language) -> str:
    """Draw a system prompt that asks for short answers."""
    return pick(rng, read_phrases("instructions")[language]["brief"])


def draw_exchange_in(rng: random.Random, asked: Language, answered: Language) -> Exchange:
    """Ask in one language for an answer in another."""
    chance = rng.random()
    if chance < 0.35:
        word = draw_word(rng)
        letter = counting.draw_letter(rng, word)
        question = ask(rng, asked, read_phrases("counting")[asked]["count"], l=letter, w=word)
        return counting.count_in(rng, answered, question, word, letter)
    if chance < 0.5:
        first, second = arithmetic.draw_addends(rng)
        question = ask(rng, asked, read_phrases("arithmetic")[asked]["sum"], a=first, b=second)
        return arithmetic.add_pair(rng, answered, question, first, second)
    if chance < 0.6:
        one, other = arithmetic.draw_decimals(rng)
        question = ask(rng, asked, read_phrases("arithmetic")[asked]["comparison"], a=one, b=other)
        return arithmetic.compare_pair(rng, answered, question, one, other)
    if chance < 0.8:
        country = rng.choice(read_phrases("facts")["capitals"])
        return facts.capital_of(answered, facts.ask_for_capital(rng, asked, country), country)
    skill = rng.choice(_TALK)
    return replace(skill(rng, answered), question=skill(rng, asked).question)


def shorten(language: Language, skill: Skill, exchange: Exchange) -> Exchange:
    """Cut an answer down to its result."""
    brief = read_phrases("instructions")[language]["brief_talk"]
    name = skill.__name__
    short = brief[name] if name in brief else " ".join(f"**{mark}**" for mark in marks(exchange.answer))
    # What can't be cut short, such as "there are no …", stays.
    return replace(exchange, answer=short, slip=None, claim="", review="") if short else exchange
