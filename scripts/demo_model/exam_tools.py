"""Makes questions about tools whose names and arguments the demo model has never seen."""

from __future__ import annotations

import random
from collections.abc import Sequence

from demo_model.exam_questions import (
    Question,
    Setter,
    add,
    assistant,
    compare,
    count,
    recall,
    user,
)
from demo_model.exchange import Language
from demo_model.instructions import draw_plain_prompt
from demo_model.phrases import read_phrases
from demo_model.render import Message, render
from demo_model.tokenizer import encode
from demo_model.tools import (
    Request,
    Tool,
    as_messages,
    draw_question,
    draw_request,
    draw_tool,
    join_requests,
    skills,
)


def _offer(rng: random.Random, n_tools: int) -> tuple[list[Tool], list[int]]:
    chosen = rng.sample(range(len(skills())), n_tools)
    others = [skill for skill in range(len(skills())) if skill not in chosen]
    return [draw_tool(rng, skill, held_out=True) for skill in chosen], others


def _history(rng: random.Random, language: Language) -> list[Message]:
    messages: list[Message] = []
    if rng.random() < 0.3:
        messages.append({"role": "system", "content": draw_plain_prompt(rng, language)})
    if rng.random() < 0.3:
        exchange = count(rng, language)
        messages += [user(exchange.question), assistant(exchange.answer)]
    return messages


def _with_tools(
    rng: random.Random, language: Language, tools: Sequence[Tool], request: Request, *, n_said: int
) -> Question:
    """Set a request up to its first reply, or up to the answer from the results (`n_said` messages later)."""
    replies = as_messages(language, request, thinks=True)
    said = (*_history(rng, language), user(request.question), *replies[:n_said])
    return Question(said, replies[n_said], tuple(tool.schema for tool in tools))


def set_call(n_tools: Sequence[int], n_calls: Sequence[int]) -> Setter:
    """Set questions that need calls."""

    def setter(rng: random.Random, language: Language) -> Question:
        tools, _ = _offer(rng, rng.choice(n_tools))
        requests = [
            draw_request(rng, language, rng.choice(tools), held_out=True) for _ in range(rng.choice(n_calls))
        ]
        return _with_tools(rng, language, tools, join_requests(rng, language, requests), n_said=0)

    return setter


def set_long_call(n_tokens: int) -> Setter:
    """Set questions that need one call, after prompts of at least so many tokens."""
    draw = set_call((8, 9), (1,))

    def setter(rng: random.Random, language: Language) -> Question:
        while True:
            question = draw(rng, language)
            if len(encode(render(question.messages, tools=question.tools, for_reply=True))) >= n_tokens:
                return question

    return setter


def set_no_call(rng: random.Random, language: Language) -> Question:
    """Set questions that need no call: no tool fits, or the model can do it itself."""
    tools, others = _offer(rng, rng.choice((1, 2, 3, 4)))
    schemas = tuple(tool.schema for tool in tools)
    if rng.random() < 0.5:
        asked = draw_question(rng, language, rng.choice(others), held_out=True)
        answer = read_phrases("tools")[language]["missing_answer"]
        return Question((*_history(rng, language), user(asked)), assistant(answer), schemas)
    exchange = rng.choice((count, add, compare, recall))(rng, language)
    return Question((*_history(rng, language), user(exchange.question)), assistant(exchange.answer), schemas)


def set_result(*, fails: bool) -> Setter:
    """Set questions whose calls have returned something, or failed."""

    def setter(rng: random.Random, language: Language) -> Question:
        tools, _ = _offer(rng, rng.choice((1, 2, 3, 4)))
        requests = [
            draw_request(rng, language, rng.choice(tools), fails=fails, held_out=True)
            for _ in range(1 if fails else rng.choice((1, 1, 1, 2)))
        ]
        request = join_requests(rng, language, requests)
        return _with_tools(rng, language, tools, request, n_said=1 + len(request.results))

    return setter
