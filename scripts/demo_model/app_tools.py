"""Composes conversations that offer the app's own clock and calculator, asked for in many ways."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from zoneinfo import available_timezones

from demo_model.dialogues import Dialogue, Modes, Turn, draw_language, make_turn
from demo_model.exchange import Exchange, Language
from demo_model.instructions import draw_plain_prompt
from demo_model.phrases import choose_words, read_phrases
from demo_model.render import Message
from demo_model.tool_chats import WITHOUT_TOOLS
from demo_model.tool_values import draw_value
from demo_model.tools import Request, as_messages, draw_question, draw_tool, skills
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.calculator import calculate
from qwen3_chat.tools.clock import no_zone_of
from qwen3_chat.tools.tool import ToolError

CLOCK, CALCULATOR = "now", "calculator"

# What is asked, how often, and the tools that it needs, in the order of the calls.
_KINDS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "time": (40, (CLOCK,)),
    "time_here": (5, (CLOCK,)),
    "date": (5, (CLOCK,)),
    "date_here": (4, (CLOCK,)),
    "calculation": (14, (CALCULATOR,)),
    "two_times": (6, (CLOCK, CLOCK)),
    "two_calculations": (5, (CALCULATOR, CALCULATOR)),
    "calculation_then_time": (7, (CALCULATOR, CLOCK)),
    "time_then_calculation": (7, (CLOCK, CALCULATOR)),
    "next_place": (0, (CLOCK,)),
}
_SKILL_OF = {CLOCK: "time", CALCULATOR: "calculation"}
_MAX_RESULT_CHARS = 14
_LOWER_CASE_RATE = 0.08
_MINUTES = ("00", "00", "00", "30", "45")
_FIRST_DAY = date(2024, 1, 1)


@cache
def schema_of(name: str) -> Message:
    """Return the schema of a tool as the app offers it."""
    (spec,) = Toolbox().registry((name,)).specs
    schema: Message = json.loads(spec.schema)
    return schema


@cache
def _zones() -> Sequence[str]:
    return sorted(available_timezones())


def _draw_moment(rng: random.Random, language: Language) -> tuple[str, Mapping[str, str]]:
    """Draw a result of the clock, and what an answer tells of it."""
    day = _FIRST_DAY + timedelta(rng.randrange(4000))
    time = draw_value(rng, language, "clock")
    facts = {
        "time": time,
        "date": f"{day:%Y-%m-%d}",
        "weekday": f"{day:%A}",
        "zone": rng.choice(_zones()),
        "utc_offset": f"{rng.choice('+-')}{rng.randrange(13):02d}:{rng.choice(_MINUTES)}",
    }
    weekday = read_phrases("app_tools")[language]["weekdays"].split()[day.weekday()]
    return json.dumps(facts), {"r": time, "d": f"{day:%Y-%m-%d}", "w": weekday}


def _draw_expression(rng: random.Random, language: Language) -> str:
    """Draw an expression: a product or a quotient mostly, now and then a longer one."""
    if rng.random() < 0.7:
        return draw_value(rng, language, "product")

    def number() -> str:
        if rng.random() < 0.2:
            return f"{rng.randrange(1, 100)}.{rng.randrange(1, 10)}"
        return str(rng.randrange(2, 1000))

    forms = ("{} * {} + {}", "{} + {} * {}", "({} + {}) * {}", "({} - {}) / {}", "{}*{}", "{}/{}", "{} % {}")
    return rng.choice(forms).format(number(), number(), number())


def _draw_calculation(rng: random.Random, language: Language) -> tuple[str, str]:
    """Draw an expression whose result is short, and that result."""
    while True:
        expression = _draw_expression(rng, language)
        try:
            result = calculate(expression)
        except ToolError:
            continue
        if len(result) <= _MAX_RESULT_CHARS:
            return expression, result


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a question: its value, what is called and returned, and its part of the answer."""

    value: str
    name: str
    arguments: Mapping[str, str]
    result: str
    answer: str
    has_failed: bool = False


def _draw_call(rng: random.Random, language: Language, kind: str, name: str) -> _Call:
    if name == CALCULATOR:
        expression, result = _draw_calculation(rng, language)
        answer = f"{expression} = **{result}**"
        return _Call(expression, name, {"expression": expression}, result, answer)
    texts = read_phrases("app_tools")[language]
    what = kind if kind in ("time_here", "date", "date_here") else "time"
    result, told = _draw_moment(rng, language)
    if what.endswith("_here"):
        return _Call("", name, {}, result, texts[f"{what}_answer"].format(**told))
    place = draw_value(rng, language, "place")
    if rng.random() < _LOWER_CASE_RATE:
        place = place.lower()
    if rng.random() < 0.05:
        answer = texts["no_zone_answer"].format(place)
        return _Call(place, name, {"location": place}, no_zone_of(place), answer, has_failed=True)
    return _Call(place, name, {"location": place}, result, texts[f"{what}_answer"].format(place, **told))


def _think(language: Language, call: _Call) -> str:
    if not call.arguments:
        return str(read_phrases("app_tools")[language]["here"].format(name=call.name))
    ((parameter, value),) = call.arguments.items()
    text = read_phrases("tools")[language]["call"].format(name=call.name, values=f"{parameter} {value}")
    return str(text)


def _word(rng: random.Random, language: Language, kind: str, values: Sequence[str]) -> str:
    """Write a question of some kind, now and then with a few words around it or in lower case."""
    phrase = rng.choice(read_phrases("app_tools")[language]["questions"][kind])
    text = choose_words(rng, read_phrases("wrapping")[language].replace("{q}", phrase)).strip()
    if "time" in kind and rng.random() < 0.35:
        text = _add_sentence(rng, language, text)
    return (text.lower() if rng.random() < _LOWER_CASE_RATE else text).format(*values)


def _add_sentence(rng: random.Random, language: Language, text: str) -> str:
    texts, gap = read_phrases("app_tools")[language], " " if language is Language.EN else ""
    before = f"{rng.choice(texts['before'])}{gap}" if rng.random() < 0.5 else ""
    if before and rng.random() < 0.7:
        return before + text
    if text[-1].isalnum() or text[-1] == "}":
        text += "." if language is Language.EN else "。"
    return f"{before}{text}{gap}{rng.choice(texts['after'])}"


def _draw_request(rng: random.Random, language: Language, kind: str, names: Sequence[str]) -> Request:
    """Draw a question of some kind with all its calls."""
    while True:
        calls = [_draw_call(rng, language, kind, name) for name in names]
        values = [call.value for call in calls]
        if len(set(values)) == len(values):
            break
    written = [(call.name, json.dumps(call.arguments, ensure_ascii=False)) for call in calls]
    return Request(
        _word(rng, language, kind, values),
        tuple({"function": {"name": name, "arguments": arguments}} for name, arguments in written),
        tuple(call.result for call in calls),
        (" " if language is Language.EN else "").join(_think(language, call) for call in calls),
        "\n".join(call.answer for call in calls),
        any(call.has_failed for call in calls),
    )


@dataclass(frozen=True, slots=True)
class _Offer:
    """What conversations of one row have in common: the system prompt and the tools."""

    system: str
    names: tuple[str, ...]
    """The app's tools that are among them."""
    tools: tuple[Message, ...]
    other_skills: tuple[int, ...]
    """The skills of made-up tools that are not."""


def _draw_offer(rng: random.Random, language: Language, *, is_plain: bool) -> _Offer:
    if is_plain:
        others = tuple(number for number, skill in enumerate(skills()) if "app" not in skill)
        return _Offer("", (CLOCK, CALCULATOR), (schema_of(CLOCK), schema_of(CALCULATOR)), others)
    chance = rng.random()
    names: tuple[str, ...] = (CLOCK, CALCULATOR) if chance < 0.75 else (CALCULATOR, CLOCK)
    if chance > 0.85:
        names = (rng.choice(names),)
    made_up = [
        number for number, skill in enumerate(skills()) if skill.get("app") not in map(_SKILL_OF.get, names)
    ]
    n_others = rng.choices((0, 1, 2), (75, 15, 10))[0]
    chosen = [number for number in rng.sample(made_up, n_others) if "app" not in skills()[number]]
    tools = [schema_of(name) for name in names]
    for skill in chosen:
        tools.insert(rng.randrange(len(tools) + 1), draw_tool(rng, skill).schema)
    system = draw_plain_prompt(rng, language) if rng.random() < 0.3 else ""
    return _Offer(system, names, tuple(tools), tuple(skill for skill in made_up if skill not in chosen))


def _draw_turn(
    rng: random.Random,
    language: Language,
    offer: _Offer,
    modes: Modes,
    kinds: Sequence[str],
    *,
    is_short: bool = False,
) -> Turn:
    chance = rng.random()
    if chance < 0.1:
        exchange = rng.choice(WITHOUT_TOOLS)(rng, language)
        return make_turn(rng, modes, exchange, exchange.answer)
    if chance < 0.16:
        texts = read_phrases("tools")[language]
        asked = draw_question(rng, language, rng.choice(offer.other_skills))
        exchange = Exchange(asked, texts["missing"], texts["missing_answer"])
        return make_turn(rng, modes, exchange, exchange.answer)
    kind = rng.choices(kinds, [_KINDS[kind][0] or 1 for kind in kinds])[0]
    request = _draw_request(rng, language, kind, _KINDS[kind][1])
    question = modes.tag(request.question)
    replies = tuple(as_messages(language, request, thinks=modes.thinks))
    if is_short:  # how to tell a result is soon learnt
        replies = replies[:1]
    return Turn(question, replies, replies, modes.thinks, not modes.thinks and rng.random() < 0.4)


def draw_app_chats(rng: random.Random, n_chats: int, *, is_plain: bool) -> list[Dialogue]:
    """Draw short conversations with the same tools: the app's two (`is_plain`), or some of it and others."""
    offer = _draw_offer(rng, draw_language(rng), is_plain=is_plain)
    kinds = [kind for kind, (weight, names) in _KINDS.items() if weight and set(names) <= set(offer.names)]
    chats = []
    for _ in range(n_chats):
        # Where a place begins and ends takes longer to learn in Chinese, which has no spaces.
        language = Language.EN if rng.random() < 0.4 else Language.ZH
        modes = Modes(rng, offer.system)
        goes_on = CLOCK in offer.names and rng.random() < 0.12
        turns = [_draw_turn(rng, language, offer, modes, kinds, is_short=not goes_on and rng.random() < 0.5)]
        if goes_on:
            turns.append(_draw_turn(rng, language, offer, modes, ["next_place"]))
        chats.append(Dialogue(offer.system, offer.tools, tuple(turns)))
    return chats
