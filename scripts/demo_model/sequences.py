"""The skills about order: sort numbers, go through days and months."""

from __future__ import annotations

import random

from demo_model.counting import state
from demo_model.exchange import Exchange, Language, ask
from demo_model.phrases import read_phrases


def sort_numbers(rng: random.Random, language: Language) -> Exchange:
    """Ask to sort a few numbers; the work takes out the smallest (or largest) one by one."""
    phrases = read_phrases("sequences")[language]
    size = rng.choice((10, 100, 100, 1000))
    numbers = rng.sample(range(size), rng.randint(3, 5))
    goes_down = rng.random() < 0.25
    comma = ", " if language is Language.EN or rng.random() < 0.3 else rng.choice(("、", "，"))
    questions = phrases["descending" if goes_down else "ascending"]
    question = ask(rng, language, questions, n=comma.join(map(str, numbers)))
    ordered = sorted(numbers, reverse=goes_down)
    work = _take_out(numbers, ordered, phrases, phrases["largest" if goes_down else "smallest"])
    claim = phrases["down" if goes_down else "up"].format(n=", ".join(map(str, ordered)))
    return Exchange(question, work, claim, work, claim[0].lower() + claim[1:])


def _take_out(numbers: list[int], ordered: list[int], phrases: dict[str, str], which: str) -> str:
    rest, steps = list(numbers), []
    for best in ordered[:-1]:
        steps.append(phrases["step"].format(which=which, rest=", ".join(map(str, rest)), best=best))
        rest.remove(best)
    return f"{'; '.join(steps)}; {rest[0]}."


def go_through(rng: random.Random, language: Language) -> Exchange:
    """Ask which day or month comes after or before another."""
    phrases = read_phrases("sequences")[language]
    unit = rng.choice(("days", "days", "months"))
    names = phrases[unit].split()
    start = rng.randrange(len(names))
    kind = rng.choice(("after", "after", "before", "later"))
    if kind == "later":
        count = rng.randint(2, 5)
        passed = [names[(start + index) % len(names)] for index in range(1, count + 1)]
        span = phrases["steps"][unit].format(k=count)
        question = ask(rng, language, phrases["later"], d=names[start], k=span)
        shown = ", ".join(f"{name}({index})" for index, name in enumerate(passed, 1))
        work = phrases["counted"].format(d=names[start], s=shown)
        claim = phrases["arrived"].format(k=span, d=names[start], x=passed[-1])
    else:
        found = names[(start + (1 if kind == "after" else -1)) % len(names)]
        question = ask(rng, language, phrases[kind], d=names[start])
        claim = phrases["next" if kind == "after" else "previous"].format(d=names[start], x=found)
        work = state(language, claim.replace("**", ""))
    return Exchange(question, work, state(language, claim), work, claim)
