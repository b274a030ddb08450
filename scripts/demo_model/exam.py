"""Sets the demo model's exam: what is asked for each skill, and which replies are right."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from demo_model import sequences, talk
from demo_model.exam_questions import (
    Question,
    Setter,
    add,
    alone,
    assistant,
    compare,
    count,
    recall,
    recall_unseen,
    set_brevity,
    set_doubt,
    set_language,
    set_next_count,
    set_reason,
    set_summary,
    set_title,
    spell,
    subtract,
    unseen,
    user,
)
from demo_model.exam_tools import set_call, set_long_call, set_no_call, set_result
from demo_model.exchange import Exchange, Language, marks
from demo_model.follow_ups import ask_reason, doubt
from demo_model.instructions import draw_plain_prompt
from demo_model.mixes import DRILLED_SKILLS
from demo_model.render import Message

SETTERS: Mapping[str, Setter] = {
    "count letters in unseen words": alone(count),
    "the same, unseen phrasings": unseen(count),
    "count in a follow-up": set_next_count,
    '"Really?" after a count, half of them wrong': set_doubt,
    '"Why?" after a count or a comparison': set_reason,
    "add unseen numbers": alone(add),
    "add, unseen phrasings": unseen(add),
    "subtract unseen numbers": alone(subtract),
    "compare unseen numbers": alone(compare),
    "compare, unseen phrasings": unseen(compare),
    "facts": alone(recall),
    "capitals, unseen phrasings": alone(recall_unseen),
    "sort numbers": alone(sequences.sort_numbers),
    "days and months": alone(sequences.go_through),
    "spell backwards": alone(spell),
    "decline what it can't do": alone(talk.refuse_anything),
    "title of a chat": set_title,
    "summary of a chat": set_summary,
    "system prompt wants the other language": set_language,
    "system prompt wants brevity": set_brevity,
    "call one tool": set_call((1, 2, 3, 4), (1,)),
    "call several": set_call((1, 2, 3, 4), (2,)),
    "call none: no fitting tool, or none needed": set_no_call,
    "call one, prompts of 2,048 tokens and more": set_long_call(2048),
    "answer from tool results": set_result(fails=False),
    "answer after a tool's error": set_result(fails=True),
}


def is_right(question: Question, answer: str, calls: Sequence[tuple[str, object]] = ()) -> bool:
    """Tell whether a reply has the ideal one's calls and bold parts, or is the same where that has none."""
    ideal = str(question.ideal["content"])
    if list(calls) != calls_of(question.ideal):
        return False
    return marks(answer) == marks(ideal) if marks(ideal) else answer == ideal


def calls_of(message: Message) -> list[tuple[str, object]]:
    """Return a message's calls as pairs of name and arguments."""
    calls = message.get("tool_calls", [])
    assert isinstance(calls, list)
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def set_questions(skill: str, language: Language, n: int, seed: int) -> Iterator[Question]:
    """Set `n` questions, the same for the same seed."""
    rng = random.Random(f"exam:{seed}:{skill}:{language}")
    for _ in range(n):
        yield SETTERS[skill](rng, language)


def set_tagged_chats(n: int, seed: int) -> Iterator[tuple[Question, bool]]:
    """Set `n` chats of one to six turns with tags; the flag says whether the last reply must think."""
    rng = random.Random(f"exam:{seed}:tags")
    for _ in range(n):
        language = rng.choice(list(Language))
        messages: list[Message] = []
        thinks = True
        if rng.random() < 0.4:
            tag = rng.choice(("/think", "/no_think"))
            thinks = tag == "/think"
            messages.append({"role": "system", "content": f"{draw_plain_prompt(rng, language)} {tag}"})
        n_turns = rng.randint(1, 6)
        exchanges = [
            count(rng, language) if rng.random() < 0.4 else draw_exchange(rng, language)
            for _ in range(n_turns)
        ]
        for exchange in exchanges:
            tag = rng.choice(("", "", " /think", " /no_think"))
            thinks = tag == " /think" if tag else thinks
            messages += [user(exchange.question + tag), assistant(exchange.answer)]
        yield Question(tuple(messages[:-1]), messages[-1]), thinks


def draw_exchange(rng: random.Random, language: Language) -> Exchange:
    """Draw an exchange of any skill."""
    return rng.choices(list(DRILLED_SKILLS), list(DRILLED_SKILLS.values()))[0](rng, language)


def set_chat(rng: random.Random, language: Language, n_turns: int) -> Iterator[str]:
    """Set the questions of a chat that the model itself carries on: new topics, follow-ups, tags."""
    last = Exchange("", "", "")
    for turn in range(n_turns):
        chance = rng.random()
        if turn and chance < 0.2:
            asked = doubt(rng, language, last, was_wrong=False).question
        elif turn and chance < 0.3:
            asked = ask_reason(rng, language, last).question
        elif chance < 0.4:
            asked = count(rng, language, "exam").question
        elif chance < 0.6:
            last = rng.choice((count, add, compare))(rng, language)
            asked = last.question
        else:
            last = draw_exchange(rng, language)
            asked = last.question
        yield asked + rng.choice(("", "", "", " /think", " /no_think"))
