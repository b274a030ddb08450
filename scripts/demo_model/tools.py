"""Invents tools, requests that need them, and what they return."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo_model.exchange import Language, pick
from demo_model.phrases import choose_words, read_phrases
from demo_model.render import Message
from demo_model.tool_values import draw_value
from demo_model.words import is_held_out

_FILLERS = (
    " Use it whenever the user asks for it.",
    " Returns a JSON object.",
    " The result can be told to the user as it is.",
    " Call it once for each thing that is asked.",
    " It needs a moment.",
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as one conversation offers it: the same skill has many names."""

    skill: int
    name: str
    parameters: tuple[str, ...]
    schema: Message


@dataclass(frozen=True, slots=True)
class Request:
    """A question, the calls it needs, what they return, and the answer then."""

    question: str
    calls: tuple[Message, ...]
    results: tuple[str, ...]
    thinking: str
    answer: str
    has_failed: bool


def skills() -> Sequence[Mapping[str, Any]]:
    """Return what tools can do."""
    found: Sequence[Mapping[str, Any]] = read_phrases("tools")["tools"]
    return found


def _draw_name(rng: random.Random, nouns: Sequence[str], *, held_out: bool) -> str:
    for _ in range(200):
        verb, noun = rng.choice(read_phrases("tools")["verbs"]), rng.choice(nouns)
        camel = "".join(part.capitalize() for part in noun.split("_"))
        name = rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", noun, f"{noun}_{verb}", f"{verb}{camel}"))
        if is_held_out(name) is held_out:
            return name
    raise ValueError(nouns)


def draw_tool(rng: random.Random, skill: int, *, held_out: bool = False) -> Tool:
    """Invent a tool for a skill; held-out names are never in the training data."""
    spec = skills()[skill]
    name = _draw_name(rng, spec["nouns"], held_out=held_out)
    about = pick(rng, spec["about"])
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2, 3))):
        about += rng.choice(_FILLERS)
    properties: dict[str, Any] = {}
    is_wordy = rng.random() < 0.4
    for parameter in spec["parameters"]:
        field: dict[str, Any] = {"type": parameter.get("type", "string")}
        if is_wordy:
            field["description"] = choose_words(rng, parameter["about"])
        if "enum" in parameter:
            field["enum"] = parameter["enum"]
        free = [choice for choice in parameter["names"] if choice not in properties]
        properties[rng.choice(free)] = field
    function = {
        "name": name,
        "description": about,
        "parameters": {"type": "object", "properties": properties, "required": list(properties)},
    }
    return Tool(skill, name, tuple(properties), {"type": "function", "function": function})


def _draw_phrase(rng: random.Random, language: Language, skill: int) -> str:
    spec = skills()[skill]
    if "app" in spec and rng.random() < 0.6:
        return choose_words(rng, rng.choice(read_phrases("app_tools")[language]["questions"][spec["app"]]))
    return choose_words(rng, rng.choice(spec[language]["questions"]))


def draw_question(rng: random.Random, language: Language, skill: int, *, held_out: bool = False) -> str:
    """Ask for something that needs a tool, whether there is one or not."""
    spec = skills()[skill]
    kinds = [parameter["kind"] for parameter in spec["parameters"]]
    values = [draw_value(rng, language, kind, held_out=held_out) for kind in kinds]
    return _draw_phrase(rng, language, skill).format(*values)


def _as_json(text: str) -> object:
    return int(text) if text.removeprefix("-").isdigit() and str(int(text)) == text else text


def _told(rng: random.Random, names: Sequence[str], values: Sequence[str]) -> str:
    if rng.random() < 0.2:
        return ", ".join(values)
    fields = {name: _as_json(value) for name, value in zip(names, values, strict=True)}
    return json.dumps(fields, ensure_ascii=False)


def draw_request(
    rng: random.Random, language: Language, tool: Tool, *, fails: bool = False, held_out: bool = False
) -> Request:
    """Ask for something that one call of `tool` gets, or fails to get."""
    spec = skills()[tool.skill]
    texts = read_phrases("tools")
    kinds = [(parameter["kind"], parameter.get("type", "string")) for parameter in spec["parameters"]]
    while True:
        values = [draw_value(rng, language, kind, held_out=held_out) for kind, _ in kinds]
        if len(set(values)) == len(values):
            break
    question = _draw_phrase(rng, language, tool.skill).format(*values)
    arguments = {
        name: value if kind == "string" else int(value)
        for name, value, (_, kind) in zip(tool.parameters, values, kinds, strict=True)
    }
    shown = ", ".join(f"{name} {value}" for name, value in zip(tool.parameters, values, strict=True))
    thinking = texts[language]["call"].format(name=tool.name, values=shown)
    call = {"function": {"name": tool.name, "arguments": json.dumps(arguments, ensure_ascii=False)}}
    if fails:
        error = rng.choice(texts["errors"][language])
        result = json.dumps({"error": error}, ensure_ascii=False) if rng.random() < 0.7 else f"Error: {error}"
        return Request(
            question, (call,), (result,), thinking, texts[language]["failed_answer"].format(e=error), True
        )
    returned = [draw_value(rng, language, field["kind"]) for field in spec["results"]]
    names = [rng.choice(field["names"]) for field in spec["results"]]
    answer = spec[language]["answer"].format(*values, **dict(zip("rs", returned, strict=False)))
    return Request(question, (call,), (_told(rng, names, returned),), thinking, answer, False)


def join_requests(rng: random.Random, language: Language, requests: Sequence[Request]) -> Request:
    """Ask for several things at once."""
    question = requests[0].question
    gap = " " if language is Language.EN else ""
    for request in requests[1:]:
        also = rng.choice(read_phrases("tools")["also"][language])
        end = "" if question[-1] in ".?。？" else ("." if language is Language.EN else "。")
        question += f"{end}{gap}{also}{gap}{request.question}"
    return Request(
        question,
        tuple(call for request in requests for call in request.calls),
        tuple(result for request in requests for result in request.results),
        gap.join(request.thinking for request in requests),
        "\n".join(request.answer for request in requests),
        any(request.has_failed for request in requests),
    )


def as_messages(language: Language, request: Request, *, thinks: bool) -> list[Message]:
    """Write the reply to a request: the calls, their results, the answer."""
    texts = read_phrases("tools")[language]
    told = texts["failed" if request.has_failed else "told"]
    return [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": request.thinking if thinks else "",
            "tool_calls": list(request.calls),
        },
        *({"role": "tool", "content": result} for result in request.results),
        {"role": "assistant", "content": request.answer, "reasoning_content": told if thinks else ""},
    ]
