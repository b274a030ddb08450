"""Composes exchanges into conversations with modes, tags and system prompts as the app sends them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from demo_model import arithmetic, counting, facts, talk, titles, writing
from demo_model.exchange import Exchange, Language, Skill
from demo_model.follow_ups import ask_reason, doubt
from demo_model.render import render

EARLY_STOP = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly"
    " now.\n</think>\n\n"
)

# How often each skill opens a topic.
SKILLS: Mapping[Skill, float] = {
    counting.count_letters: 26,
    counting.count_all_letters: 3,
    counting.spell_backwards: 3,
    arithmetic.add: 13,
    arithmetic.subtract: 4,
    arithmetic.compare: 10,
    facts.recall_capital: 7,
    facts.recall_fact: 6,
    talk.greet: 3,
    talk.tell_identity: 5,
    talk.tell_abilities: 3,
    talk.accept_thanks: 2,
    talk.say_goodbye: 1.5,
    talk.refuse: 5,
    talk.repeat: 16,
    writing.write_list: 4,
    writing.write_table: 2.5,
    writing.write_code: 3,
    writing.write_story: 2,
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
    was_wrong: bool = False

    @property
    def shown_answer(self) -> str:
        slip = self.exchange.slip
        return slip.answer if self.was_wrong and slip else self.exchange.answer


def _draw_skill(rng: random.Random) -> Skill:
    return rng.choices(list(SKILLS), list(SKILLS.values()))[0]


def _draw_turns(rng: random.Random, language: Language, n_turns: int) -> list[_Turn]:
    """Draw exchanges that follow from each other more often than not."""
    opening = counting.count_letters if rng.random() < 0.25 else _draw_skill(rng)
    turns = [_make_turn(rng, opening(rng, language))]
    while len(turns) < n_turns:
        previous = turns[-1].exchange
        chance = rng.random()
        if chance < (0.32 if previous.review else 0.08):
            exchange = doubt(rng, language, previous, was_wrong=turns[-1].was_wrong)
        elif previous.review and chance < 0.38:
            exchange = ask_reason(rng, language, previous)
        elif previous.letter and chance < 0.8:
            exchange = counting.count_next(rng, language, previous)
        elif chance > 0.96:
            exchange = titles.ask_title(rng, language, opening.__name__)
        else:
            exchange = _draw_skill(rng)(rng, language)
        turns.append(_make_turn(rng, exchange))
    return turns


def _make_turn(rng: random.Random, exchange: Exchange) -> _Turn:
    return _Turn(exchange, was_wrong=exchange.slip is not None and rng.random() < 0.2)


def _tag(rng: random.Random, text: str, tag: str) -> str:
    chance = rng.random()
    if chance < 0.85:
        return f"{text} {tag}"
    return f"{tag} {text}" if chance < 0.95 else f"{text}\n{tag}"


def draw_sample(rng: random.Random, *, is_single_turn: bool = False) -> Sample:
    """Draw one conversation and the reply to its last question."""
    language = Language.EN if rng.random() < 0.54 else Language.ZH
    n_turns = 1 if is_single_turn else rng.choices((1, 2, 3, 4, 6, 9), (50, 26, 16, 5, 2, 1))[0]
    turns = _draw_turns(rng, language, n_turns)
    thinks = True
    messages: list[dict[str, str]] = []
    if rng.random() < 0.15:
        system = rng.choice(_SYSTEM_PROMPTS[language])
        if rng.random() < 0.3:
            thinks = rng.random() < 0.3
            system = _tag(rng, system, "/think" if thinks else "/no_think")
        messages.append({"role": "system", "content": system})
    tag_rate = rng.choice((0.0, 0.35, 0.75))
    for turn in turns:
        question = turn.exchange.question
        if rng.random() < tag_rate:
            thinks = rng.random() < 0.45
            question = _tag(rng, question, "/think" if thinks else "/no_think")
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": turn.shown_answer})
    last = turns[-1].exchange
    hard_switch = rng.random() < (0.08 if thinks else 0.3)
    thinks = thinks and not hard_switch
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
