"""The skills that show Markdown: lists, tables, code blocks, stories."""

from __future__ import annotations

import random

from demo_model.exchange import Exchange, Language, pick
from demo_model.phrases import read_phrases


def write_list(rng: random.Random, language: Language) -> Exchange:
    """Ask for a numbered list of some category."""
    phrases = read_phrases("writing")[language]
    category, items = rng.choice(list(phrases["categories"].items()))
    count = rng.randint(2, 6)
    shown = str(count) if rng.random() < 0.5 else phrases["numbers"][count - 2]
    question = pick(rng, phrases["list"], n=shown, c=category)
    lines = "\n".join(f"{index}. {item}" for index, item in enumerate(items.split()[:count], 1))
    if language is Language.EN:
        return Exchange(
            question, f"I list {count} {category}.", f"Here are **{count} {category}**:\n\n{lines}"
        )
    return Exchange(question, f"我列出{count}种{category}。", f"下面是 **{count} 种{category}**：\n\n{lines}")


def write_table(rng: random.Random, language: Language) -> Exchange:
    """Ask for a Markdown table of countries and capitals."""
    phrases = read_phrases("writing")[language]
    capitals = read_phrases("facts")["capitals"]
    question = rng.choice(phrases["table"])
    count = rng.randint(2, 5) if "{n}" in question else 3
    shown = str(count) if rng.random() < 0.6 else phrases["numbers"][count - 2]
    if language is Language.EN:
        rows = "\n".join(f"| {row[0]} | {row[1]} |" for row in capitals[:count])
        answer = f"Here is a table:\n\n| Country | Capital |\n| --- | --- |\n{rows}"
        return Exchange(question.format(n=shown), f"I make a table with {count} rows.", answer)
    rows = "\n".join(f"| {row[2]} | {row[3]} |" for row in capitals[:count])
    answer = f"表格如下：\n\n| 国家 | 首都 |\n| --- | --- |\n{rows}"
    return Exchange(question.format(n=shown), f"我做一个{count}行的表格。", answer)


def write_code(rng: random.Random, language: Language) -> Exchange:
    """Ask for one of a few Python programs."""
    phrases = read_phrases("writing")[language]
    programs = read_phrases("writing")["programs"]
    if rng.random() < 0.25:
        question, program = rng.choice(phrases["any_code"]), programs[-1]
    else:
        program = rng.choice(programs)
        question = pick(rng, phrases["code"], c=rng.choice(program[language]))
    block = f"```python\n{program['code']}\n```"
    if language is Language.EN:
        return Exchange(
            question, "The user wants Python code. I write a short program.", f"Here is the code:\n\n{block}"
        )
    return Exchange(question, "用户想要Python代码。我写一个简短的程序。", f"代码如下：\n\n{block}")


def write_story(rng: random.Random, language: Language) -> Exchange:
    """Ask for a longer text."""
    story = rng.choices(read_phrases("writing")[language]["stories"], (2, 1))[0]
    thinking = (
        "用户想读一段文字，我写给他看。"
        if language is Language.ZH
        else "The user wants a longer text. I write it down."
    )
    return Exchange(rng.choice(story["questions"]), thinking, story["text"])
