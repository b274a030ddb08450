"""Composes conversations that offer tools."""

from __future__ import annotations

import random
from collections.abc import Sequence

from demo_model import arithmetic, counting, facts, sequences, talk
from demo_model.dialogues import Dialogue, Modes, Turn, add_tag, make_turn
from demo_model.exchange import Exchange, Language, Skill
from demo_model.instructions import draw_plain_prompt
from demo_model.phrases import read_phrases
from demo_model.tools import Tool, as_messages, draw_question, draw_request, draw_tool, join_requests, skills

# What may be asked beside tools that could be mistaken for none of them.
WITHOUT_TOOLS: tuple[Skill, ...] = (
    counting.count_letters,
    counting.count_letters,
    arithmetic.add,
    arithmetic.compare,
    facts.recall_capital,
    facts.recall_fact,
    talk.greet,
    talk.tell_identity,
    talk.accept_thanks,
    sequences.go_through,
)


def draw_tools(rng: random.Random, n_tools: int) -> list[Tool]:
    """Draw tools of different skills."""
    return [draw_tool(rng, skill) for skill in rng.sample(range(len(skills())), n_tools)]


def draw_tool_chat(
    rng: random.Random,
    language: Language,
    n_turns: int,
    tools: Sequence[Tool],
    system: str | None = None,
) -> Dialogue:
    """Draw a conversation that offers tools, needed by some questions and not by others."""
    chosen = [tool.skill for tool in tools]
    others = [skill for skill in range(len(skills())) if skill not in chosen]
    if system is None:
        system = draw_plain_prompt(rng, language) if rng.random() < 0.3 else ""
        if rng.random() < 0.1:
            system = add_tag(rng, system, rng.choice(("/think", "/no_think"))).strip()
    modes = Modes(rng, system)
    turns = []
    for _ in range(n_turns):
        chance = rng.random()
        if chance < 0.68:
            turns.append(_call_tools(rng, language, modes, tools))
        elif chance < 0.84 and others:
            texts = read_phrases("tools")[language]
            exchange = Exchange(
                draw_question(rng, language, rng.choice(others)), texts["missing"], texts["missing_answer"]
            )
            turns.append(make_turn(rng, modes, exchange, exchange.answer))
        else:
            exchange = rng.choice(WITHOUT_TOOLS)(rng, language)
            turns.append(make_turn(rng, modes, exchange, exchange.answer))
    return Dialogue(system, tuple(tool.schema for tool in tools), tuple(turns))


def _call_tools(rng: random.Random, language: Language, modes: Modes, tools: Sequence[Tool]) -> Turn:
    n_calls = rng.choice((1, 1, 1, 1, 1, 2, 2, 3)) if rng.random() < 0.8 else 1
    requests = [
        draw_request(rng, language, rng.choice(tools), fails=rng.random() < 0.15) for _ in range(n_calls)
    ]
    request = join_requests(rng, language, requests)
    question = modes.tag(request.question)
    thinks = modes.thinks
    is_hard_switch = not thinks and rng.random() < 0.25
    replies = tuple(as_messages(language, request, thinks=thinks))
    return Turn(question, replies, replies, thinks, is_hard_switch)
