"""Composes exchanges into conversations with modes, tags and system prompts as the app sends them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from demo_model import arithmetic, counting, facts, talk, titles, writing
from demo_model.exchange import Exchange, Language, Skill, pick
from demo_model.follow_ups import ask_reason, doubt
from demo_model.phrases import read_phrases
from demo_model.render import render
from demo_model.words import favourites

EARLY_STOP = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly"
    " now.\n</think>\n\n"
)

# How often each skill opens a topic.
SKILLS: Mapping[Skill, float] = {
    counting.count_letters: 18,
    counting.count_all_letters: 3,
    counting.spell_backwards: 3,
    arithmetic.add: 40,
    arithmetic.subtract: 4,
    arithmetic.compare: 14,
    facts.recall_capital: 14,
    facts.recall_fact: 11,
    talk.greet: 3,
    talk.tell_identity: 5,
    talk.tell_abilities: 3,
    talk.accept_thanks: 2,
    talk.say_goodbye: 1.5,
    talk.refuse: 8,
    talk.repeat: 3,
    writing.write_list: 4,
    writing.write_table: 2.5,
    writing.write_code: 2,
    writing.write_story: 1.2,
}

_SYSTEM_PROMPTS = {
    Language.EN: (
        "You are a helpful assistant.",
        "You are a helpful assistant.",
        "You are Qwen3, a helpful assistant.",
        "Be friendly.",
        "You are a careful assistant. Answer in English.",
    ),
    Language.ZH: (
        "你是一个有用的助手。",
        "你是一个乐于助人的助手。",
        "请用中文回答。",
        "You are a helpful assistant.",
        "你是一个认真的助手。",
    ),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and the reply to learn from it, both rendered."""

    prompt: str
    reply: str


@dataclass(frozen=True, slots=True)
class _Turn:
    exchange: Exchange
    was_wrong: bool
    tag: str = ""

    @property
    def shown_answer(self) -> str:
        slip = self.exchange.slip
        return slip.answer if self.was_wrong and slip else self.exchange.answer


def _make_turn(rng: random.Random, exchange: Exchange, tag: str = "") -> _Turn:
    return _Turn(exchange, was_wrong=exchange.slip is not None and rng.random() < 0.35, tag=tag)


def _draw_skill(rng: random.Random) -> Skill:
    return rng.choices(list(SKILLS), list(SKILLS.values()))[0]


def _draw_documented_turns(rng: random.Random, language: Language) -> list[_Turn]:
    """Draw one to three turns of the conversation in Qwen3's documentation, which people try first."""
    words = [word for word in favourites() if "berr" in word]
    first, second = rng.choice(words[:2]), rng.choice(words[2:4] if rng.random() < 0.6 else words)
    phrases = read_phrases("counting")[language]
    question = pick(rng, phrases["count"], l="r", w=first)
    turns = [_make_turn(rng, counting.count_in(rng, language, question, first, "r"))]
    question = pick(rng, phrases["count_next"], l="r", w=second)
    turns.append(_make_turn(rng, counting.count_in(rng, language, question, second, "r"), "/no_think"))
    exchange = doubt(rng, language, turns[-1].exchange, was_wrong=turns[-1].was_wrong)
    turns.append(_make_turn(rng, exchange, "/think"))
    return turns[: rng.randint(1, 3)]


def _draw_turns(rng: random.Random, language: Language, n_turns: int) -> list[_Turn]:
    """Draw exchanges that follow from each other more often than not."""
    tag_rate = rng.choice((0.0, 0.35, 0.75))
    opening = counting.count_letters if rng.random() < 0.25 else _draw_skill(rng)
    turns: list[_Turn] = []
    while len(turns) < n_turns:
        exchange = _continue(rng, language, turns[-1], opening) if turns else opening(rng, language)
        tag = rng.choice(("/think", "/no_think")) if rng.random() < tag_rate else ""
        turns.append(_make_turn(rng, exchange, tag))
    return turns


def _continue(rng: random.Random, language: Language, last: _Turn, opening: Skill) -> Exchange:
    """Draw what is asked after `last` in a conversation that some skill opened."""
    previous = last.exchange
    chance = rng.random()
    if chance < (0.32 if previous.review else 0.08):
        return doubt(rng, language, previous, was_wrong=last.was_wrong)
    if previous.review and chance < 0.38:
        return ask_reason(rng, language, previous)
    if previous.letter and chance < 0.8:
        return counting.count_next(rng, language, previous)
    if chance > 0.96:
        return titles.ask_title(rng, language, opening.__name__)
    return _draw_skill(rng)(rng, language)


def _tag(rng: random.Random, text: str, tag: str) -> str:
    chance = rng.random()
    if chance < 0.85:
        return f"{text} {tag}"
    return f"{tag} {text}" if chance < 0.95 else f"{text}\n{tag}"


def draw_sample(rng: random.Random, *, is_single_turn: bool = False) -> Sample:
    """Draw one conversation and the reply to its last question."""
    language = Language.EN if rng.random() < 0.54 else Language.ZH
    if not is_single_turn and rng.random() < 0.07:
        turns = _draw_documented_turns(rng, language)
    else:
        n_turns = 1 if is_single_turn else rng.choices((1, 2, 3, 4, 6, 9), (30, 20, 16, 14, 13, 7))[0]
        turns = _draw_turns(rng, language, n_turns)
    tag = ""
    messages: list[dict[str, str]] = []
    if rng.random() < 0.15:
        system = rng.choice(_SYSTEM_PROMPTS[language])
        if rng.random() < 0.3:
            tag = rng.choice(("/think", "/no_think", "/no_think"))
            system = _tag(rng, system, tag)
        messages.append({"role": "system", "content": system})
    for turn in turns:
        tag = turn.tag or tag
        question = turn.exchange.question
        messages.append({"role": "user", "content": _tag(rng, question, turn.tag) if turn.tag else question})
        messages.append({"role": "assistant", "content": turn.shown_answer})
    last = turns[-1].exchange
    hard_switch = rng.random() < (0.3 if tag == "/no_think" else 0.06)
    thinks = tag != "/no_think" and not hard_switch
    messages[-1] = {
        "role": "assistant",
        "content": last.answer,
        "reasoning_content": last.thinking if thinks else "",
    }
    prompt = render(messages[:-1], for_reply=True, thinking_allowed=not hard_switch)
    reply = render(messages).removeprefix(prompt).removesuffix("\n")
    if thinks and rng.random() < 0.04:
        thought = last.thinking[: rng.randrange(len(last.thinking))]
        return Sample(f"{prompt}<think>\n{thought}{EARLY_STOP}", f"{last.answer}<|im_end|>")
    return Sample(prompt, reply)
