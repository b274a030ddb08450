from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import pytest

from demo_model import arithmetic
from demo_model.app_tools import draw_app_chats, schema_of
from demo_model.batches import MIXED_UNTIL, SINGLE_TURNS_UNTIL, draw_rows
from demo_model.counting import spell_with_count
from demo_model.dialogues import Dialogue, draw_chat, draw_documented, draw_instructed
from demo_model.exam import SETTERS, calls_of, is_right, set_questions
from demo_model.exchange import Language
from demo_model.render import Message, render, thinks_after
from demo_model.tokenizer import decode, encode
from demo_model.tool_chats import draw_tool_chat, draw_tools
from demo_model.tool_values import draw_value
from demo_model.tools import draw_tool, skills
from demo_model.trees import EARLY_STOP, Row, row_of_dialogue, share_beginning
from demo_model.words import draw_word, held_out_words, is_held_out
from qwen3_chat.tools.calculator import calculate
from qwen3_chat.tools.clock import clock_tool


def dialogues(n: int, seed: int = 0) -> Iterator[Dialogue]:
    """Draw `n` conversations of each kind."""
    rng = random.Random(seed)
    for _ in range(n):
        language = rng.choice(list(Language))
        yield draw_chat(rng, language, rng.choice((1, 2, 4, 10)))
        yield draw_documented(rng, language)
        yield draw_instructed(rng, rng.choice((1, 3)))
        yield draw_tool_chat(rng, language, rng.choice((1, 3)), draw_tools(rng, rng.choice((1, 2, 8))))


def paths(row: Row) -> Iterator[tuple[list[int], list[float]]]:
    """Give what each branch sees, itself included, with the weights; the whole trunk comes last."""
    for n_seen, branch in row.branches:
        yield row.trunk.ids[:n_seen] + branch.ids, [0.0] * n_seen + branch.weights
    yield row.trunk.ids, row.trunk.weights


STAGES = (0.0, SINGLE_TURNS_UNTIL, MIXED_UNTIL)


@pytest.mark.parametrize("progress", STAGES)
def test_rows_are_the_same_for_the_same_seed(progress: float) -> None:
    rows = draw_rows(random.Random("1:5"), progress)
    assert rows == draw_rows(random.Random("1:5"), progress)
    assert rows != draw_rows(random.Random("1:6"), progress)


def test_training_begins_with_single_turns() -> None:
    rows = draw_rows(random.Random(1), 0.0)
    assert all(decode(row.trunk.ids).count("<|im_start|>user") == 1 for row in rows)
    assert not any(row.branches for row in rows)


def test_every_reply_is_seen_with_the_prompt_that_the_template_writes() -> None:
    for dialogue in dialogues(40):
        messages: list[Message] = [{"role": "system", "content": dialogue.system}] if dialogue.system else []
        seen = iter(paths(row_of_dialogue(dialogue)))
        for turn in dialogue.turns:
            messages.append({"role": "user", "content": turn.question})
            ids, weights = next(seen)
            text = decode(ids)
            prompt = render(
                messages,
                tools=dialogue.tools,
                for_reply=True,
                thinking_allowed=not turn.is_hard_switch,
            )
            assert text.startswith(prompt)
            assert not any(weights[: len(encode(prompt))])
            if len(turn.replies) > 1 and not turn.thinks:
                next(seen)
            messages += turn.shown


def test_replies_end_and_open_a_block_unless_the_prompt_did() -> None:
    for dialogue in dialogues(40, seed=1):
        for ids, weights in paths(row_of_dialogue(dialogue)):
            counted = [index for index, weight in enumerate(weights) if weight]
            reply = decode(ids[counted[0] :])
            before = decode(ids[: counted[0]])
            assert reply.endswith("<|im_end|>")
            opened = before.endswith(("<think>\n\n</think>\n\n", EARLY_STOP))
            assert reply.startswith("<think>\n") is not opened


def test_the_latest_tag_decides_whether_the_reply_thinks() -> None:
    for dialogue in dialogues(60, seed=2):
        thinks = thinks_after(dialogue.system)
        for turn in dialogue.turns:
            thinks = thinks_after(turn.question, thinks)
            assert turn.thinks is (thinks and not turn.is_hard_switch)
            first = turn.replies[0]
            assert bool(first["reasoning_content"]) is turn.thinks


@pytest.mark.parametrize(
    ("text", "before", "thinks"),
    [
        ("hi", True, True),
        ("hi", False, False),
        ("hi /no_think", True, False),
        ("/think hi", False, True),
        ("/no_think hi /think", True, True),
        ("/think hi /no_think", True, False),
    ],
)
def test_the_last_tag_in_a_text_wins(text: str, before: bool, thinks: bool) -> None:
    assert thinks_after(text, before) is thinks


def test_tools_that_are_called_were_offered_with_these_parameters() -> None:
    rng = random.Random(3)
    for _ in range(100):
        dialogue = draw_tool_chat(rng, rng.choice(list(Language)), 4, draw_tools(rng, rng.choice((1, 2, 4))))
        offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in dialogue.tools}  # type: ignore[index]
        for turn in dialogue.turns:
            for name, arguments in calls_of(turn.replies[0]):
                assert list(arguments) == offered[name]["required"]  # type: ignore[call-overload]


def test_some_tool_prompts_are_longer_than_2048_tokens() -> None:
    rng = random.Random(4)
    lengths = [
        row.branches[0][0]
        for progress in STAGES[1:]
        for _ in range(40)
        for row in draw_rows(rng, progress)
        if row.branches
    ]
    assert max(lengths) > 2048


def test_trained_words_and_held_out_words_do_not_meet() -> None:
    rng = random.Random(6)
    drawn = {draw_word(rng) for _ in range(20_000)}
    assert drawn.isdisjoint(held_out_words())
    assert not any(map(is_held_out, drawn))


def test_trained_numbers_and_held_out_numbers_do_not_meet() -> None:
    rng = random.Random(7)
    for draw in (arithmetic.draw_addends, arithmetic.draw_decimals):
        trained = {draw(rng) for _ in range(2000)}
        examined = {draw(rng, held_out=True) for _ in range(2000)}
        assert trained.isdisjoint(examined)


def test_trained_tools_and_held_out_tools_do_not_meet() -> None:
    rng = random.Random(8)
    for skill in range(len(skills())):
        trained = {draw_tool(rng, skill).name for _ in range(300)}
        examined = {draw_tool(rng, skill, held_out=True).name for _ in range(100)}
        assert trained.isdisjoint(examined)
    for kind in ("place", "topic", "code", "clock", "large"):
        for language in Language:
            trained = {draw_value(rng, language, kind) for _ in range(1000)}
            examined = {draw_value(rng, language, kind, held_out=True) for _ in range(300)}
            assert trained.isdisjoint(examined)


@pytest.mark.parametrize("skill", SETTERS)
def test_the_exam_accepts_its_own_answers(skill: str) -> None:
    for language in Language:
        for question in set_questions(skill, language, 30, seed=8):
            ideal = str(question.ideal["content"])
            assert is_right(question, ideal, calls_of(question.ideal))
            assert not is_right(question, "I don't know what to say.", ())


def test_the_exams_long_prompts_are_long() -> None:
    name = "call one, prompts of 2,048 tokens and more"
    for question in set_questions(name, Language.EN, 20, seed=9):
        assert len(encode(render(question.messages, tools=question.tools, for_reply=True))) >= 2048


@pytest.mark.parametrize(
    ("first", "second", "work"),
    [
        (0, 0, "u0+0+0=00 U0; U0 = 0"),
        (7, 5, "u7+5+0=12 U2; t0+0+1=01 T1; T1 U2 = 12"),
        (345, 78, "u5+8+0=13 U3; t4+7+1=12 T2; h3+0+1=04 H4; H4 T2 U3 = 423"),
    ],
)
def test_additions_go_place_by_place_from_the_right(first: int, second: int, work: str) -> None:
    assert arithmetic.add_by_places(first, second) == work


@pytest.mark.parametrize(
    ("first", "second", "work"),
    [(8, 3, "u08-3-0=5 U5; U5 = 5"), (52, 7, "u12-7-0=5 U5; t05-0-1=4 T4; T4 U5 = 45")],
)
def test_subtractions_borrow(first: int, second: int, work: str) -> None:
    assert arithmetic.subtract_by_places(first, second) == work


@pytest.mark.parametrize(
    ("first", "second", "work"),
    [
        ("2.999", "2.12345", "u2=2; a9>1"),
        ("12.5", "9.75", "t1>0"),
        ("3.4", "3.45", "u3=3; a4=4; b0<5"),
        ("17", "9", "t1>0"),
    ],
)
def test_comparisons_end_at_the_first_difference(first: str, second: str, work: str) -> None:
    assert arithmetic.compare_by_places(first, second) == work


def test_the_written_work_is_right() -> None:
    rng = random.Random(9)
    for _ in range(500):
        first, second = sorted(arithmetic.draw_addends(rng), reverse=True)
        for work, result in (
            (arithmetic.add_by_places(first, second), first + second),
            (arithmetic.subtract_by_places(first, second), first - second),
        ):
            places, _, said = work.rpartition("; ")[2].partition(" = ")
            assert int("".join(re.findall(r"\d", places))) == int(said) == result


def test_each_place_of_the_letter_is_numbered() -> None:
    assert spell_with_count("strawberry", "r") == "s t r(1) a w b e r(2) r(3) y"
    assert spell_with_count("banana", "x") == "b a n a n a"


def test_the_apps_tools_are_called_as_the_app_offers_them() -> None:
    rng = random.Random(11)
    offered = {name: schema_of(name) for name in ("now", "calculator")}
    called: set[tuple[str, ...]] = set()
    for is_plain in (True, False):
        for chat in draw_app_chats(rng, 150, is_plain=is_plain):
            if is_plain:
                assert chat.tools == tuple(offered.values())
            names = {tool["function"]["name"] for tool in chat.tools}  # type: ignore[index]
            for turn in chat.turns:
                calls = calls_of(turn.replies[0])
                called.add(tuple(name for name, _ in calls))
                for name, arguments in calls:
                    assert name in names
                    assert all(str(value) in turn.question for value in arguments.values())  # type: ignore[attr-defined]
    pairs = {("now", "now"), ("calculator", "calculator"), ("calculator", "now"), ("now", "calculator")}
    assert called == {(), ("now",), ("calculator",), *pairs}


async def test_what_the_clock_is_taught_to_return_is_what_it_returns() -> None:
    rng = random.Random(12)
    real = json.loads(await clock_tool().run({"location": "Tokyo"}))
    for chat in draw_app_chats(rng, 200, is_plain=True):
        for turn in chat.turns:
            results = [str(message["content"]) for message in turn.replies if message["role"] == "tool"]
            for (name, arguments), result in zip(calls_of(turn.replies[0]), results, strict=False):
                if name == "calculator":
                    assert result == calculate(arguments["expression"])  # type: ignore[index]
                elif not result.startswith("No time zone"):
                    assert list(json.loads(result)) == list(real)


def test_replies_that_share_their_prompt_are_seen_as_they_are_alone() -> None:
    rng = random.Random(13)
    rows = [row_of_dialogue(chat) for chat in draw_app_chats(rng, 20, is_plain=True)]
    shared = share_beginning(rows)
    alone = sorted(path for row in rows for path in paths(row))
    assert sorted(list(paths(shared))[:-1]) == alone
    assert {n_seen for n_seen, _ in shared.branches} == {len(shared.trunk.ids)}
    assert decode(shared.trunk.ids).endswith("<|im_start|>user\n")
    assert len(shared) < sum(map(len, rows)) / 3


def test_arguments_are_written_as_json() -> None:
    for dialogue in dialogues(30, seed=10):
        for turn in dialogue.turns:
            for message in turn.replies:
                for call in message.get("tool_calls", ()):  # type: ignore[attr-defined]
                    assert isinstance(json.loads(call["function"]["arguments"]), dict)
