"""Draws the arguments and results of tools."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from demo_model.exchange import Language
from demo_model.places import draw_any_place, draw_characters, may_be_trained
from demo_model.words import draw_word, held_out_words, is_held_out

_ROOMS = {
    Language.EN: ("kitchen", "bedroom", "garage", "bathroom", "hall", "office", "garden", "cellar"),
    Language.ZH: ("厨房", "卧室", "车库", "浴室", "走廊", "书房", "花园", "客厅"),
}
_LANGUAGES = {
    Language.EN: ("German", "French", "Spanish", "Italian", "Russian", "Dutch", "Greek", "Latin"),
    Language.ZH: ("德语", "法语", "西班牙语", "意大利语", "俄语", "英语", "希腊语", "日语"),
}
_SKIES = {
    Language.EN: ("sunny", "cloudy", "rainy", "windy", "foggy", "clear"),
    Language.ZH: ("晴", "多云", "有雨", "有风", "有雾", "下雪"),
}
_DONE = {Language.EN: ("ok", "done", "saved", "success"), Language.ZH: ("完成", "成功", "好了", "ok")}
_STATUSES = {
    Language.EN: ("on its way", "delivered", "waiting", "lost", "packed", "sent back"),
    Language.ZH: ("在路上", "已送到", "等待中", "丢失", "已打包", "已退回"),
}
_CURRENCIES = ("EUR", "USD", "CNY", "JPY", "GBP", "CHF", "INR", "AUD")


def _draw_task(rng: random.Random, language: Language) -> str:
    if language is Language.ZH:
        verb = rng.choice(("买", "看", "写", "洗", "找", "还", "送", "拿"))
        return verb + draw_characters(rng, rng.randint(2, 4))
    verb = rng.choice(("buy", "call", "feed", "wash", "find", "paint", "visit", "water"))
    return " ".join([verb, *(draw_word(rng) for _ in range(rng.randint(1, 2)))])


def _draw_topic(rng: random.Random, language: Language) -> str:
    if language is Language.ZH:
        return draw_characters(rng, rng.randint(2, 5))
    return " ".join(draw_word(rng) for _ in range(rng.randint(1, 3)))


def _draw_code(rng: random.Random, _: Language) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTX") for _ in range(rng.randint(0, 2)))
    return letters + "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))


_DRAWERS: Mapping[str, Callable[[random.Random, Language], str]] = {
    "place": draw_any_place,
    "task": _draw_task,
    "topic": _draw_topic,
    "code": _draw_code,
    "word": lambda rng, _: draw_word(rng),
    "foreign": lambda rng, _: draw_word(rng),
    "room": lambda rng, language: rng.choice(_ROOMS[language]),
    "language": lambda rng, language: rng.choice(_LANGUAGES[language]),
    "sky": lambda rng, language: rng.choice(_SKIES[language]),
    "done": lambda rng, language: rng.choice(_DONE[language]),
    "status": lambda rng, language: rng.choice(_STATUSES[language]),
    "state": lambda rng, _: rng.choice(("on", "off")),
    "currency": lambda rng, _: rng.choice(_CURRENCIES),
    "symbol": lambda rng, _: "".join(rng.choice("ABCDEFGHIKLMNOPQRSTUX") for _ in range(rng.randint(2, 5))),
    "degrees": lambda rng, _: str(rng.randrange(-20, 40)),
    "clock": lambda rng, _: f"{rng.randrange(24):02d}:{rng.randrange(60):02d}",
    "small": lambda rng, _: str(rng.randrange(2, 30)),
    "number": lambda rng, _: str(rng.randrange(1, 10 ** rng.randint(1, 4))),
    "large": lambda rng, _: str(rng.randrange(1000, 10 ** rng.randint(4, 7))),
    "decimal": lambda rng, _: f"{rng.randrange(1, 1000)}.{rng.randrange(100):02d}",
    "product": lambda rng, _: f"{rng.randrange(2, 1000)} {rng.choice('*/')} {rng.randrange(2, 100)}",
    "product_result": lambda rng, _: str(rng.randrange(2, 10_000)),
    "path": lambda rng, _: f"{draw_word(rng)}{rng.choice(('.txt', '.md', '.py', '.json'))}",
}
_ALWAYS_TRAINED = frozenset(
    ("room", "language", "sky", "done", "status", "state", "currency", "small", "degrees")
)


def draw_value(rng: random.Random, language: Language, kind: str, *, held_out: bool = False) -> str:
    """Draw a value of some kind; those of open kinds are held out from training one time in ten."""
    if kind == "word" and held_out:
        return rng.choice(held_out_words())
    while True:
        value = _DRAWERS[kind](rng, language)
        if kind == "place" and not held_out and not may_be_trained(value):
            continue
        if kind in _ALWAYS_TRAINED or is_held_out(value.lower()) is held_out:
            return value
