"""The skills about numbers: add, subtract, compare decimals."""

from __future__ import annotations

import random

from demo_model.counting import state
from demo_model.exchange import Exchange, Language, Slip, pick
from demo_model.phrases import read_phrases


def is_held_out_pair(first: str, second: str) -> bool:
    """Tell whether a pair of numbers is kept from the training data; one in eleven is."""
    digits = (first + second).replace(".", "")
    return sum(int(digit) * (place + 1) for place, digit in enumerate(digits)) % 11 == 3


def draw_addends(rng: random.Random, *, held_out: bool = False) -> tuple[int, int]:
    """Draw two numbers of one to three digits."""
    while True:
        first, second = (rng.randrange(10 ** rng.choice((1, 1, 2, 2, 3, 3))) for _ in range(2))
        if is_held_out_pair(str(first), str(second)) is held_out:
            return first, second


def column_addition(first: int, second: int) -> str:
    """Write an addition digit by digit from the right, with the carry: "5+7=12 → 2, 1+2+1=4 → 4"."""
    steps: list[str] = []
    carry = 0
    while first or second or carry or not steps:
        total = first % 10 + second % 10 + carry
        carried = f"+{carry}" if carry else ""
        steps.append(f"{first % 10}+{second % 10}{carried}={total} → {total % 10}")
        carry = total // 10
        first, second = first // 10, second // 10
    return ", ".join(steps)


def column_subtraction(first: int, second: int) -> str:
    """Write a subtraction digit by digit from the right, for first ≥ second."""
    steps: list[str] = []
    borrow = 0
    while first or second or not steps:
        upper, lower = first % 10, second % 10 + borrow
        shown = f"{second % 10}-{borrow}" if borrow else f"{second % 10}"
        borrow = int(upper < lower)
        steps.append(f"{upper + 10 * borrow}-{shown} → {upper + 10 * borrow - lower}")
        first, second = first // 10, second // 10
    return ", ".join(steps)


def _calculate(
    rng: random.Random, language: Language, question: str, task: str, steps: str, result: int
) -> Exchange:
    claim = f"{task} = **{result}**"
    wrong = f"{task} = **{result + rng.choice((-10, -1, 1, 2, 10, 100))}**"
    if language is Language.EN:
        thinking = f"{task}, from the right: {steps}. So {task} = {result}."
        review = f"{task} again, from the right: {steps}. So it is {result}."
    else:
        thinking = f"{task}，从右往左：{steps}。所以{task} = {result}。"
        review = f"再算{task}，从右往左：{steps}。结果是{result}。"
    return Exchange(question, thinking, claim, review, claim, Slip(wrong))


def add(rng: random.Random, language: Language) -> Exchange:
    """Ask for a sum."""
    first, second = draw_addends(rng)
    question = pick(rng, read_phrases("arithmetic")[language]["sum"], a=first, b=second)
    return add_pair(rng, language, question, first, second)


def add_pair(rng: random.Random, language: Language, question: str, first: int, second: int) -> Exchange:
    """Answer a question for the sum of two given numbers."""
    steps = column_addition(first, second)
    return _calculate(rng, language, question, f"{first} + {second}", steps, first + second)


def subtract(rng: random.Random, language: Language) -> Exchange:
    """Ask for a difference that is not negative."""
    first, second = sorted(draw_addends(rng), reverse=True)
    question = pick(rng, read_phrases("arithmetic")[language]["difference"], a=first, b=second)
    return _calculate(
        rng, language, question, f"{first} - {second}", column_subtraction(first, second), first - second
    )


def draw_decimals(rng: random.Random, *, held_out: bool = False) -> tuple[str, str]:
    """Draw two different decimals, often with the same whole part and of different lengths."""
    while True:
        whole = rng.randrange(rng.choice((4, 20, 100)))
        other = whole if rng.random() < 0.75 else rng.randrange(20)
        first, second = (
            f"{part}.{rng.randrange(10 ** (places := rng.choice((1, 1, 2, 2, 3, 4, 5)))):0{places}d}"
            for part in (whole, other)
        )
        if float(first) != float(second) and is_held_out_pair(first, second) is held_out:
            return first, second


def compare_by_digits(language: Language, first: str, second: str) -> str:
    """Compare whole parts, then decimal places one by one until they differ."""
    (whole_a, places_a), (whole_b, places_b) = first.split("."), second.split(".")
    chinese = language is Language.ZH
    if whole_a != whole_b:
        sign = ">" if int(whole_a) > int(whole_b) else "<"
        return (
            f"整数部分：{whole_a} {sign} {whole_b}" if chinese else f"Whole part: {whole_a} {sign} {whole_b}"
        )
    steps = [f"整数部分：{whole_a} = {whole_b}" if chinese else f"Whole part: {whole_a} = {whole_b}"]
    width = max(len(places_a), len(places_b))
    pairs = zip(places_a.ljust(width, "0"), places_b.ljust(width, "0"), strict=True)
    for index, (digit_a, digit_b) in enumerate(pairs, 1):
        sign = "=" if digit_a == digit_b else ">" if digit_a > digit_b else "<"
        steps.append(
            f"小数第{index}位：{digit_a} {sign} {digit_b}"
            if chinese
            else f"place {index}: {digit_a} {sign} {digit_b}"
        )
        if sign != "=":
            break
    return ("，" if chinese else ", ").join(steps)


def compare(rng: random.Random, language: Language) -> Exchange:
    """Ask which of two decimals is larger."""
    first, second = draw_decimals(rng)
    question = pick(rng, read_phrases("arithmetic")[language]["comparison"], a=first, b=second)
    return compare_pair(rng, language, question, first, second)


def compare_pair(rng: random.Random, language: Language, question: str, first: str, second: str) -> Exchange:
    """Answer a comparison of two given decimals."""
    larger, smaller = (first, second) if float(first) > float(second) else (second, first)
    steps = compare_by_digits(language, first, second)
    if language is Language.EN:
        claim, wrong = f"**{larger}** is larger than {smaller}", f"**{smaller}** is larger than {larger}"
        thinking = f"Compare {first} with {second}. {steps}. So {larger} is larger."
        review = f"Compare {first} with {second} again. {steps}. So {larger} is larger."
    else:
        claim, wrong = f"**{larger}** 比 {smaller} 大", f"**{smaller}** 比 {larger} 大"
        thinking = f"比较{first}和{second}。{steps}。所以{larger}更大。"
        review = f"再比较{first}和{second}。{steps}。所以{larger}更大。"
    return Exchange(question, thinking, state(language, claim), review, claim, Slip(state(language, wrong)))
