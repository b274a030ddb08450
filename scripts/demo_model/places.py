"""The places that training asks about: real ones, of one word or several, and invented ones."""

from __future__ import annotations

import random
import tomllib
from functools import cache
from pathlib import Path
from zoneinfo import available_timezones

import qwen3_chat.tools
from demo_model.exchange import Language
from demo_model.phrases import read_phrases
from demo_model.tool_questions import tool_questions
from demo_model.words import draw_word, is_held_out

_CITIES = Path(qwen3_chat.tools.__file__).with_name("cities.toml")
_BEFORE = (
    "New",
    "Port",
    "San",
    "Santa",
    "Fort",
    "Mount",
    "Saint",
    "North",
    "Great",
    "El",
    "Los",
    "Cape",
    "St.",
)
_AFTER = ("City", "Bay", "Town", "Falls", "Island", "Beach", "Springs", "Islands", "Harbour", "Valley")
_CHINESE_ENDINGS = ("城", "市", "村", "镇", "港", "岛", "湾", "堡", "", "", "", "")
_COMMON = "山水风云花月星雨雪春秋海天林江东西南北青白红金木石田光明新安平和乐"
# Rare characters are spelt in bytes, which takes practice to copy.
_FIRST_RARE, _LAST_RARE = 0x4E00, 0x9FA5


@cache
def asked_places() -> frozenset[str]:
    """Return the places of the 200 questions about tools, in lower case and without 市; none is trained."""
    calls = (call for question in tool_questions() for call in question.calls)
    return frozenset(value.lower().removesuffix("市") for call in calls for value in call.arguments.values())


def may_be_trained(place: str) -> bool:
    """Tell whether training may show a place: not a held-out one, nor one of the 200 questions."""
    bare = place.lower().removesuffix("市")
    return not is_held_out(place.lower()) and not is_held_out(bare) and bare not in asked_places()


@cache
def real_places(language: Language) -> tuple[str, ...]:
    """Return the places known to the app's clock that may be trained, in a fixed order."""
    named = [name for names in tomllib.loads(_CITIES.read_text("utf-8")).values() for name in names]
    if language is Language.EN:
        named += [zone.rpartition("/")[2].replace("_", " ") for zone in available_timezones() if "/" in zone]
        named = [name for name in named if name.isascii() and not any(map(str.isdigit, name))]
    else:
        named = [
            name for name in named if not name.isascii() and all("\u4e00" <= it <= "\u9fff" for it in name)
        ]
    return tuple(sorted({name for name in named if may_be_trained(name)}))


@cache
def _characters_of_names() -> str:
    """Return the characters of real Chinese names of places, each as often as it is in them."""
    return "".join(real_places(Language.ZH))


def draw_characters(rng: random.Random, n: int) -> str:
    """Draw `n` Chinese characters, common ones mostly."""
    if rng.random() < 0.4:
        return "".join(rng.sample(_COMMON, n))
    rare = "".join(chr(rng.randint(_FIRST_RARE, _LAST_RARE)) for _ in range(n))
    return "".join(rng.choice((rare[index], rng.choice(_COMMON))) for index in range(n))


def _invent(rng: random.Random, language: Language) -> str:
    if language is Language.ZH:
        n = rng.choices((1, 2, 3, 4, 5), (2, 5, 5, 3, 2))[0]
        if rng.random() < 0.5:
            name = "".join(rng.choice(_characters_of_names()) for _ in range(n))
        else:
            name = draw_characters(rng, n)
        return name + (rng.choice(_CHINESE_ENDINGS) if n > 1 else rng.choice("城村镇港岛湾"))
    words = [draw_word(rng).capitalize() for _ in range(rng.choice((1, 1, 1, 2)))]
    chance = rng.random()
    if chance < 0.2:
        words.insert(0, rng.choice(_BEFORE))
    elif chance < 0.35:
        words.append(rng.choice(_AFTER))
    return " ".join(words)


def draw_any_place(rng: random.Random, language: Language) -> str:
    """Draw a place of any origin, held out or not."""
    chance = rng.random()
    if chance < 0.12:
        return str(rng.choice(read_phrases("facts")["capitals"])[1 if language is Language.EN else 3])
    if chance < 0.5:
        name = rng.choice(real_places(language))
        return name + "市" if language is Language.ZH and rng.random() < 0.15 and name[-1] != "市" else name
    return _invent(rng, language)
