"""Composes exchanges into conversations as the app sends them, with modes, tags and system prompts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from demo_model import counting, facts
from demo_model.exchange import Exchange, Language, Skill, pick
from demo_model.follow_ups import ask_reason, doubt
from demo_model.instructions import (
    BRIEF_SKILLS,
    draw_brevity_prompt,
    draw_exchange_in,
    draw_language_prompt,
    draw_plain_prompt,
    shorten,
)
from demo_model.looking_back import ask_summary, ask_title, gist
from demo_model.mixes import DRILLS, SKILLS
from demo_model.phrases import read_phrases
from demo_model.render import Message, thinks_after
from demo_model.words import favourites


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, the ideal reply in messages, and the one that the conversation goes on from."""

    question: str
    replies: tuple[Message, ...]
    shown: tuple[Message, ...]
    thinks: bool
    is_hard_switch: bool = False
    thought_cut_at: int | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation, every reply of which can be learnt."""

    system: str
    tools: tuple[Message, ...]
    turns: tuple[Turn, ...]


class Modes:
    """Draws the tags of a conversation and remembers the latest."""

    def __init__(self, rng: random.Random, system: str) -> None:
        """Begin with a system prompt."""
        self._rng = rng
        self._rate = rng.choice((0.0, 0.2, 0.35, 0.75))
        self.thinks = thinks_after(system)

    def tag(self, question: str) -> str:
        """Put a tag to a question, or leave it."""
        rng = self._rng
        if rng.random() >= self._rate:
            return question
        tag = rng.choice(("/think", "/no_think"))
        self.thinks = tag == "/think"
        return add_tag(rng, question, tag)


def add_tag(rng: random.Random, text: str, tag: str) -> str:
    """Put a tag where people and the app put it: mostly at the end."""
    chance = rng.random()
    if chance < 0.85:
        return f"{text} {tag}"
    return f"{tag} {text}" if chance < 0.93 else f"{text}\n{tag}" if chance < 0.97 else f"{text}{tag}"


def make_turn(
    rng: random.Random, modes: Modes, exchange: Exchange, shown: str, question: str | None = None
) -> Turn:
    """Make a turn after which `shown` stands in the history; a given `question` gets no tag."""
    tagged = modes.tag(exchange.question) if question is None else question
    is_hard_switch = rng.random() < (0.25 if not modes.thinks else 0.04)
    thinks = modes.thinks and not is_hard_switch
    cut = rng.randrange(len(exchange.thinking)) if thinks and rng.random() < 0.05 else None
    if cut is not None and rng.random() < 0.3:
        cut = 0
    reply = {
        "role": "assistant",
        "content": exchange.answer,
        "reasoning_content": exchange.thinking if thinks else "",
    }
    told = {"role": "assistant", "content": shown}
    return Turn(tagged, (reply,), (told,), thinks, is_hard_switch, cut)


def draw_language(rng: random.Random) -> Language:
    """Draw the language of a conversation."""
    return Language.EN if rng.random() < 0.52 else Language.ZH


def draw_skill(rng: random.Random, skills: Mapping[Skill, float] = SKILLS) -> Skill:
    """Draw a skill to open a topic."""
    return rng.choices(list(skills), list(skills.values()))[0]


def draw_drill(rng: random.Random, language: Language, drills: Mapping[Skill, float] = DRILLS) -> Dialogue:
    """Draw a single turn of a skill that takes long to learn, with thinking."""
    exchange = draw_skill(rng, drills)(rng, language)
    reply = {"role": "assistant", "content": exchange.answer, "reasoning_content": exchange.thinking}
    return Dialogue("", (), (Turn(exchange.question, (reply,), (reply,), thinks=True),))


def draw_documented(rng: random.Random, language: Language) -> Dialogue:
    """Draw the three turns of the conversation in Qwen3's documentation, which people try first."""
    words = [word for word in favourites() if "berr" in word]
    first, second = rng.choice(words[:2]), rng.choice(words[2:4] if rng.random() < 0.6 else words)
    phrases = read_phrases("counting")[language]
    modes = Modes(rng, "")
    one = counting.count_in(rng, language, pick(rng, phrases["count"][:2], l="r", w=first), first, "r")
    two = counting.count_in(rng, language, pick(rng, phrases["count_next"][:2], l="r", w=second), second, "r")
    turns = [make_turn(rng, modes, one, _show(rng, one)[0], one.question)]
    modes.thinks = False
    shown, was_wrong = _show(rng, two)
    turns.append(make_turn(rng, modes, two, shown, two.question + " /no_think"))
    modes.thinks = True
    three = doubt(rng, language, two, was_wrong=was_wrong)
    turns.append(make_turn(rng, modes, three, three.answer, three.question + " /think"))
    return Dialogue("", (), tuple(turns))


def _show(rng: random.Random, exchange: Exchange) -> tuple[str, bool]:
    """Return the answer that the conversation goes on from: now and then a wrong one."""
    if exchange.slip is not None and rng.random() < 0.3:
        return exchange.slip.answer, True
    return exchange.answer, False


def draw_chat(
    rng: random.Random,
    language: Language,
    n_turns: int,
    topics: Mapping[Skill, float] = SKILLS,
    title_rate: float = 0.05,
    summary_rate: float = 0.06,
) -> Dialogue:
    """Draw a conversation whose turns follow from each other more often than not."""
    system = ""
    if rng.random() < 0.3:
        system = draw_plain_prompt(rng, language) if rng.random() < 0.8 else ""
        if rng.random() < 0.5 or not system:
            system = add_tag(rng, system, rng.choice(("/think", "/no_think", "/no_think"))).strip()
    modes = Modes(rng, system)
    opening = counting.count_letters if rng.random() < 0.25 else draw_skill(rng, topics)
    turns: list[Turn] = []
    gists: list[str] = []
    last, skill, was_wrong = Exchange("", "", ""), opening, False
    for number in range(n_turns):
        chance = rng.random()
        names: str = ""
        if number == 0:
            exchange, names = opening(rng, language), opening.__name__
        elif chance < (0.28 if last.review else 0.06):
            exchange = doubt(rng, language, last, was_wrong=was_wrong)
        elif chance < (0.4 if last.review else 0.09):
            exchange = ask_reason(rng, language, last)
        elif last.letter and chance < 0.7:
            exchange, names = counting.count_next(rng, language, last), "count_letters"
        elif skill is facts.recall_capital and chance < 0.7:
            exchange, names = facts.recall_next_capital(rng, language), "recall_capital"
        elif chance > 1 - title_rate:
            exchange = ask_title(rng, language, opening.__name__)
        elif chance > 1 - title_rate - summary_rate and gists and number < 6:
            exchange = ask_summary(rng, language, gists)
        else:
            skill = draw_skill(rng, topics)
            exchange, names = skill(rng, language), skill.__name__
        shown, was_wrong = _show(rng, exchange)
        turns.append(make_turn(rng, modes, exchange, shown))
        if names:
            gists.append(gist(language, names, shown, exchange.claim))
        last = exchange
    return Dialogue(system, (), tuple(turns))


def draw_instructed(rng: random.Random, n_turns: int) -> Dialogue:
    """Draw a conversation whose system prompt wants a language, or brevity, or both."""
    asked, answered = rng.choice(list(Language)), rng.choice(list(Language))
    written_in = rng.choice(list(Language))
    wants_language = rng.random() < 0.55
    wants_brevity = not wants_language or rng.random() < 0.1
    if not wants_language:
        answered = asked
    parts = []
    if wants_language:
        parts.append(draw_language_prompt(rng, written_in, answered))
    if wants_brevity:
        parts.append(draw_brevity_prompt(rng, written_in))
    if rng.random() < 0.3:
        parts.insert(0, draw_plain_prompt(rng, written_in))
    system = " ".join(parts)
    if rng.random() < 0.2:
        system = add_tag(rng, system, rng.choice(("/think", "/no_think")))
    modes = Modes(rng, system)
    turns: list[Turn] = []
    last, was_wrong = Exchange("", "", ""), False
    for _ in range(n_turns):
        if last.review and rng.random() < 0.2:
            exchange = doubt(rng, answered, last, was_wrong=was_wrong)
            exchange = replace(exchange, question=doubt(rng, asked, last, was_wrong=False).question)
        elif wants_brevity:
            skill = rng.choice(BRIEF_SKILLS)
            exchange = skill(rng, answered)
            if asked is not answered:
                exchange = draw_exchange_in(rng, asked, answered)
                skill = counting.count_letters
            exchange = shorten(answered, skill, exchange)
        else:
            exchange = draw_exchange_in(rng, asked, answered)
        shown, was_wrong = _show(rng, exchange)
        turns.append(make_turn(rng, modes, exchange, shown))
        last = exchange
    return Dialogue(system, (), tuple(turns))
