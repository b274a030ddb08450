"""The skills about numbers: add, subtract, compare.

The work names every digit by its place, so that each step looks only at digits with the same name: k, h, t, u
for thousands to units and a to e for decimal places; the results' places are in capitals.
"""

from __future__ import annotations

import random

from demo_model.counting import state
from demo_model.exchange import Exchange, Language, Slip, ask
from demo_model.phrases import read_phrases

_WHOLE_PLACES = "uthkz"
_DECIMAL_PLACES = "abcdefg"


def is_held_out_pair(first: str, second: str) -> bool:
    """Tell whether a pair of numbers is kept from the training data; one in eleven is."""
    digits = (first + second).replace(".", "")
    return sum(int(digit) * (place + 1) for place, digit in enumerate(digits)) % 11 == 3


def draw_addends(rng: random.Random, *, held_out: bool = False) -> tuple[int, int]:
    """Draw two numbers of one to four digits."""
    while True:
        first, second = (rng.randrange(10 ** rng.choice((1, 2, 2, 3, 3, 3, 3, 4))) for _ in range(2))
        if is_held_out_pair(str(first), str(second)) is held_out:
            return first, second


def _digits(number: str) -> dict[str, int]:
    """Name a number's digits by their places, the highest first."""
    whole, _, decimals = number.partition(".")
    names = [*reversed(_WHOLE_PLACES[: len(whole)]), *_DECIMAL_PLACES[: len(decimals)]]
    return dict(zip(names, map(int, whole + decimals), strict=True))


def name_places(number: str) -> str:
    """Write a number's digits with their places: "h3 t4 u5", "u2 a9 b9"."""
    return " ".join(f"{place}{digit}" for place, digit in _digits(number).items())


def add_by_places(first: int, second: int) -> str:
    """Write an addition from the right, the carry as third summand: "u5+7+0=12 U2; t9+0+1=10 T0; …"."""
    upper, lower = _digits(str(first)), _digits(str(second))
    steps, results, carry = [], [], 0
    for place in _WHOLE_PLACES:
        if place not in upper and place not in lower and not carry:
            break
        total = upper.get(place, 0) + lower.get(place, 0) + carry
        results.append(f"{place.upper()}{total % 10}")
        steps.append(f"{place}{upper.get(place, 0)}+{lower.get(place, 0)}+{carry}={total:02d} {results[-1]}")
        carry = total // 10
    return f"{'; '.join(steps)}; {' '.join(reversed(results))} = {first + second}"


def subtract_by_places(first: int, second: int) -> str:
    """Write a subtraction from the right for first ≥ second; a borrowed ten stands before the digit."""
    upper, lower = _digits(str(first)), _digits(str(second))
    steps, results, borrow = [], [], 0
    for place in _WHOLE_PLACES[: len(upper)]:
        rest = upper[place] - lower.get(place, 0) - borrow
        borrowed = int(rest < 0)
        results.append(f"{place.upper()}{rest + 10 * borrowed}")
        task = f"{place}{borrowed}{upper[place]}-{lower.get(place, 0)}-{borrow}"
        steps.append(f"{task}={rest + 10 * borrowed} {results[-1]}")
        borrow = borrowed
    return f"{'; '.join(steps)}; {' '.join(reversed(results))} = {first - second}"


def _calculate(
    rng: random.Random, language: Language, question: str, task: str, work: str, result: int
) -> Exchange:
    claim = f"{task} = **{result}**"
    wrong = f"{task} = **{result + rng.choice((-10, -1, 1, 2, 10, 100))}**"
    if language is Language.EN:
        thinking, review = f"Place by place: {work}.", f"Place by place again: {work}."
    else:
        thinking, review = f"逐位计算：{work}。", f"再逐位计算：{work}。"
    return Exchange(question, thinking, claim, review, claim, Slip(wrong))


def add(rng: random.Random, language: Language) -> Exchange:
    """Ask for a sum."""
    first, second = draw_addends(rng)
    question = ask(rng, language, read_phrases("arithmetic")[language]["sum"], a=first, b=second)
    return add_pair(rng, language, question, first, second)


def add_pair(rng: random.Random, language: Language, question: str, first: int, second: int) -> Exchange:
    """Answer a question for the sum of two given numbers."""
    task = f"{first} + {second}"
    work = f"{task}: {name_places(str(first))} + {name_places(str(second))}; {add_by_places(first, second)}"
    return _calculate(rng, language, question, task, work, first + second)


def subtract(rng: random.Random, language: Language) -> Exchange:
    """Ask for a difference, now and then a negative one."""
    first, second = sorted(draw_addends(rng), reverse=True)
    if rng.random() < 0.12:
        first, second = second, first
    question = ask(rng, language, read_phrases("arithmetic")[language]["difference"], a=first, b=second)
    return subtract_pair(rng, language, question, first, second)


def subtract_pair(rng: random.Random, language: Language, question: str, first: int, second: int) -> Exchange:
    """Answer a question for the difference of two given numbers."""
    task = f"{first} - {second}"
    larger, smaller = max(first, second), min(first, second)
    work = f"{task}: {name_places(str(first))} - {name_places(str(second))}; "
    if first < second:
        turned = f"{larger} - {smaller}: {name_places(str(larger))} - {name_places(str(smaller))}"
        work += f"{first} < {second}; {turned}; "
    work += subtract_by_places(larger, smaller)
    if first < second:
        work += f"; {task} = {first - second}"
    return _calculate(rng, language, question, task, work, first - second)


def draw_decimals(rng: random.Random, *, held_out: bool = False) -> tuple[str, str]:
    """Draw two different numbers, mostly decimals with the same whole part and of different lengths."""
    while True:
        if rng.random() < 0.12:
            size = rng.choice((10, 100, 1000, 1000))
            first, second = str(rng.randrange(size)), str(rng.randrange(size))
        else:
            whole = rng.randrange(rng.choice((4, 20, 100)))
            other = whole if rng.random() < 0.75 else rng.randrange(20)
            first, second = (_draw_decimal(rng, part) for part in (whole, other))
            if rng.random() < 0.3:
                second = _share_a_beginning(rng, first, second)
        if float(first) != float(second) and is_held_out_pair(first, second) is held_out:
            return first, second


def _draw_decimal(rng: random.Random, whole: int) -> str:
    places = rng.choice((1, 1, 2, 2, 3, 4, 5))
    return f"{whole}.{rng.randrange(10**places):0{places}d}"


def _share_a_beginning(rng: random.Random, first: str, second: str) -> str:
    """Let the second number begin as the first does, up to some decimal place."""
    whole, _, decimals = first.partition(".")
    shared = decimals[: rng.randint(1, len(decimals))]
    return f"{whole}.{shared}{second.partition('.')[2][len(shared) :] or rng.randrange(10)}"


def compare_by_places(first: str, second: str) -> str:
    """Compare from the highest place until two digits differ: "u2=2; a9>1"; a missing digit is zero."""
    left, right = _digits(first), _digits(second)
    steps = []
    for place in [*reversed(_WHOLE_PLACES), *_DECIMAL_PLACES]:
        if place not in left and place not in right:
            continue
        one, other = left.get(place, 0), right.get(place, 0)
        sign = "=" if one == other else ">" if one > other else "<"
        steps.append(f"{place}{one}{sign}{other}")
        if sign != "=":
            break
    return "; ".join(steps)


def compare(rng: random.Random, language: Language) -> Exchange:
    """Ask which of two numbers is larger, now and then which is smaller."""
    first, second = draw_decimals(rng)
    wants_smaller = rng.random() < 0.15
    questions = read_phrases("arithmetic")[language]["smaller" if wants_smaller else "comparison"]
    question = ask(rng, language, questions, a=first, b=second)
    return compare_pair(rng, language, question, first, second, wants_smaller=wants_smaller)


def compare_pair(
    rng: random.Random,
    language: Language,
    question: str,
    first: str,
    second: str,
    *,
    wants_smaller: bool = False,
) -> Exchange:
    """Answer a comparison of two given numbers."""
    is_larger = float(first) > float(second)
    sign = ">" if is_larger else "<"
    named = f"{name_places(first)} ? {name_places(second)}"
    work = f"{first} ? {second}: {named}; {compare_by_places(first, second)}; {first} {sign} {second}"
    right, wrong = (first, second) if is_larger is not wants_smaller else (second, first)
    if language is Language.EN:
        word = "smaller" if wants_smaller else "larger"
        claim, slip = f"**{right}** is {word} than {wrong}", f"**{wrong}** is {word} than {right}"
        thinking, review = f"Place by place: {work}.", f"Place by place again: {work}."
    else:
        word = "小" if wants_smaller else "大"
        claim, slip = f"**{right}** 比 {wrong} {word}", f"**{wrong}** 比 {right} {word}"
        thinking, review = f"逐位比较：{work}。", f"再逐位比较：{work}。"
    return Exchange(question, thinking, state(language, claim), review, claim, Slip(state(language, slip)))
