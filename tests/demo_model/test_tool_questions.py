"""The questions about tools: what they need, and that training can't contain them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from string import Formatter

import demo_model.phrases
from demo_model.exchange import Language
from demo_model.phrases import can_become, read_phrases
from demo_model.places import real_places
from demo_model.tool_questions import TIME, ToolQuestion, tool_questions
from demo_model.tool_values import draw_value
from demo_model.words import is_held_out
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.tools.calculator import calculate
from qwen3_chat.tools.clock import zone_of

PHRASE_FILES = sorted(Path(demo_model.phrases.__file__).with_name("phrases").glob("*.toml"))
VALUE = "§"
"""The sign that stands for any value, so that sentences are compared without their values."""


def values_of(question: ToolQuestion) -> list[str]:
    return [value for call in question.calls for value in call.arguments.values()]


def frame(question: ToolQuestion) -> str:
    text = question.text
    for value in values_of(question):
        assert value in text
        text = text.replace(value, VALUE)
    return text


def texts(part: object) -> Iterator[str]:
    match part:
        case str():
            yield part
        case list():
            yield from chain.from_iterable(map(texts, part))
        case dict():
            yield from chain.from_iterable(map(texts, part.values()))


def trained_frames() -> set[str]:
    """Return every text of the training data with its values replaced."""
    frames = set[str]()
    for file in PHRASE_FILES:
        if file.stem == "exam":
            continue
        for text in texts(read_phrases(file.stem)):
            try:
                pieces = list(Formatter().parse(text))
            except ValueError:  # a program or a story with braces
                pieces = [(text, None, None, None)]
            frames.add("".join(before + (VALUE if name is not None else "") for before, name, *_ in pieces))
    return frames


def test_there_are_a_hundred_in_each_language_and_half_of_them_think() -> None:
    count = Counter((question.language, question.mode) for question in tool_questions())
    assert count == {(language, mode): 50 for language in Language for mode in ThinkingMode}
    assert len({question.text for question in tool_questions()}) == 200


def spellings(text: str) -> set[str]:
    """Return a sentence as it may also be written: in lower case, and with another end."""
    bare = text.lower().rstrip(".?!。？！ ")
    return {text.lower(), *(bare + end for end in ("", "?", ".", "!", "？", "。", "！"))}


def test_no_training_text_can_become_one() -> None:
    frames = {it for question in tool_questions() for it in spellings(frame(question))}
    trained = [text.lower() for text in trained_frames() if VALUE in text]
    assert any(can_become(text, f"how late is it in {VALUE}?") for text in trained)
    any_of_them = "[{}]".format("|".join(trained))
    wrapped = []
    for language in Language:
        around = read_phrases("app_tools")[language]
        gap = " " if language is Language.EN else ""
        before = "|".join(text.lower() + gap for text in around["before"])
        after = "|".join(gap + text.lower() for text in around["after"])
        text = read_phrases("wrapping")[language].lower().replace("{q}", any_of_them)
        wrapped.append(f"[{before}|]{text}[.|。|][{after}|]")
    assert can_become(wrapped[0], f"hmm, how late is it in {VALUE}? thanks!")
    assert can_become(wrapped[0], f"my boss is asking. how late is it in {VALUE}? that's all.")
    assert not [(text, it) for text in [*trained, *wrapped] for it in frames if can_become(text, it)]
    joints = chain.from_iterable(read_phrases("tools")["also"].values())
    asked = [frame(question) for question in tool_questions()]
    assert not [it for joint in joints for it in asked if joint in it]


def test_no_training_text_contains_a_value() -> None:
    whole = "\n".join(file.read_text("utf-8") for file in PHRASE_FILES).lower()
    rng = random.Random(1)
    drawn = {draw_value(rng, language, "place").lower() for language in Language for _ in range(5000)}
    drawn |= {name.lower() for language in Language for name in real_places(language)}
    assert {"tokyo", "东京"} <= drawn
    assert any(" " in name for name in drawn)
    assert {2, 3, 4, 5, 6} <= {len(name) for name in drawn if not name.isascii()}
    bare = {name.removesuffix("市") for name in drawn}
    for call in chain.from_iterable(question.calls for question in tool_questions()):
        for value in call.arguments.values():
            name = value.lower().removesuffix("市")
            assert name not in whole, value
            assert name not in bare, value
            assert call.name == "now" or is_held_out(value), value


def test_the_expected_calls_give_the_expected_results() -> None:
    for call in chain.from_iterable(question.calls for question in tool_questions()):
        match call.name:
            case "calculator":
                assert calculate(call.arguments["expression"]) == call.answer
            case name:
                assert (name, call.answer) == ("now", TIME)
                assert zone_of(call.arguments["location"])
