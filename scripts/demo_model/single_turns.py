"""Draws the single turns that training begins with: one short question, one reply."""

from __future__ import annotations

import random
from collections.abc import Mapping

from demo_model import arithmetic, counting, facts, talk, writing
from demo_model.exchange import Exchange, Language, Skill
from demo_model.render import Sample, render, thinks_after

# Copying something out of the question is what nearly all of these need.
SKILLS: Mapping[Skill, float] = {
    counting.count_letters: 20,
    counting.count_all_letters: 3,
    counting.spell_backwards: 3,
    arithmetic.add: 17,
    arithmetic.subtract: 5,
    arithmetic.compare: 14,
    facts.recall_capital: 9,
    facts.recall_fact: 7,
    talk.greet: 2.5,
    talk.tell_identity: 3,
    talk.tell_abilities: 1.5,
    talk.accept_thanks: 1.5,
    talk.say_goodbye: 1,
    talk.refuse: 6,
    talk.repeat: 8,
    writing.write_list: 3,
}


def draw_single_turn(rng: random.Random) -> Sample:
    """Draw one question with its reply; two in five carry a tag."""
    language = Language.EN if rng.random() < 0.52 else Language.ZH
    skill = rng.choices(list(SKILLS), list(SKILLS.values()))[0]
    exchange: Exchange = skill(rng, language)
    tag = rng.choice(("", "", "", " /think", " /no_think"))
    is_hard_switch = rng.random() < 0.05
    messages = [{"role": "user", "content": exchange.question + tag}]
    thinks = thinks_after(tag) and not is_hard_switch
    reply = {
        "role": "assistant",
        "content": exchange.answer,
        "reasoning_content": exchange.thinking if thinks else "",
    }
    prompt = render(messages, for_reply=True, thinking_allowed=not is_hard_switch)
    return Sample(prompt, render([*messages, reply]).removeprefix(prompt).removesuffix("\n"))
