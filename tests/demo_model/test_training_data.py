from __future__ import annotations

import random
import re

import pytest

from demo_model import arithmetic
from demo_model.batches import N_SINGLE_TURN_STEPS, PACKED_EVERY, PACKED_LENGTH, draw_row, draw_step
from demo_model.conversations import Sample, draw_sample
from demo_model.counting import spell_with_count
from demo_model.exam import SETTERS, is_right, set_questions
from demo_model.exchange import Language
from demo_model.phrases import read_phrases
from demo_model.tokenizer import decode
from demo_model.words import draw_word, held_out_words, is_held_out


def samples(n: int, seed: int = 0) -> list[Sample]:
    rng = random.Random(seed)
    return [draw_sample(rng) for _ in range(n)]


def test_a_step_is_the_same_for_the_same_seed() -> None:
    assert draw_step(1, 3, 6, 2) == draw_step(1, 3, 6, 2)
    assert draw_step(1, 3, 6, 2) != draw_step(1, 4, 6, 2) != draw_step(2, 4, 6, 2)


def test_the_first_steps_hold_single_turns() -> None:
    rows = [row for rows in draw_step(1, 0, 40, 3) for row in rows]
    assert all(decode(row.ids).count("<|im_start|>user") == 1 for row in rows)


def test_only_the_reply_counts() -> None:
    rng, same = random.Random(4), random.Random(4)
    for _ in range(50):
        row, sample = draw_row(rng), draw_sample(same)
        counted = [token for token, counts in zip(row.ids, row.counts, strict=True) if counts]
        assert decode(counted) == sample.reply


def test_every_eighth_step_is_packed_into_long_rows() -> None:
    groups = draw_step(1, N_SINGLE_TURN_STEPS * PACKED_EVERY + PACKED_EVERY - 1, 40, 3)
    lengths = [len(row.ids) for rows in groups for row in rows]
    assert max(lengths) <= PACKED_LENGTH
    assert max(lengths) > PACKED_LENGTH / 2


def test_replies_end_and_open_a_block_unless_the_prompt_did() -> None:
    for sample in samples(500):
        assert sample.reply.endswith("<|im_end|>")
        assert sample.reply.startswith("<think>\n") is not sample.prompt.endswith("</think>\n\n")


def test_a_tag_decides_whether_the_reply_thinks() -> None:
    for sample in samples(1000, seed=5):
        if not sample.reply.startswith("<think>"):
            continue
        asked = re.sub(r"<\|im_start\|>assistant\n.*?<\|im_end\|>", "", sample.prompt, flags=re.DOTALL)
        tags = re.findall(r"/think|/no_think", asked)
        thinks = not sample.reply.startswith("<think>\n\n</think>\n\n")
        assert thinks is (not tags or tags[-1] == "/think"), sample.prompt


def test_trained_words_and_held_out_words_do_not_meet() -> None:
    rng = random.Random(6)
    drawn = {draw_word(rng) for _ in range(20_000)}
    assert len(held_out_words()) > 100
    assert drawn.isdisjoint(held_out_words())
    assert not any(map(is_held_out, drawn))


def test_trained_numbers_and_held_out_numbers_do_not_meet() -> None:
    rng = random.Random(7)
    for draw in (arithmetic.draw_addends, arithmetic.draw_decimals):
        trained = {draw(rng) for _ in range(2000)}
        examined = {draw(rng, held_out=True) for _ in range(2000)}
        assert trained.isdisjoint(examined)


@pytest.mark.parametrize("language", Language)
def test_the_exam_has_phrasings_of_its_own(language: Language) -> None:
    phrases = read_phrases("counting")[language]
    trained = {phrase for kind in phrases.values() for phrase in kind}
    assert trained.isdisjoint(read_phrases("exam")[language]["count"])


@pytest.mark.parametrize("skill", SETTERS)
def test_the_exam_accepts_its_own_answers(skill: str) -> None:
    for language in Language:
        for question in set_questions(skill, language, 50, seed=8):
            assert is_right(question, question.ideal)
            assert not is_right(question, "I don't know.")


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [
        (0, 0, "0+0=0 → 0"),
        (7, 5, "7+5=12 → 2, 0+0+1=1 → 1"),
        (95, 7, "5+7=12 → 2, 9+0+1=10 → 0, 0+0+1=1 → 1"),
    ],
)
def test_additions_go_digit_by_digit_from_the_right(first: int, second: int, steps: str) -> None:
    assert arithmetic.column_addition(first, second) == steps


@pytest.mark.parametrize(
    ("first", "second", "steps"), [(8, 3, "8-3 → 5"), (52, 7, "12-7 → 5, 5-0-1 → 4"), (0, 0, "0-0 → 0")]
)
def test_subtractions_borrow(first: int, second: int, steps: str) -> None:
    assert arithmetic.column_subtraction(first, second) == steps


def test_the_written_work_is_right() -> None:
    rng = random.Random(9)
    for _ in range(500):
        first, second = sorted(arithmetic.draw_addends(rng), reverse=True)
        for steps, result in (
            (arithmetic.column_addition(first, second), first + second),
            (arithmetic.column_subtraction(first, second), first - second),
        ):
            digits = re.findall(r"→ (\d)", steps)
            assert int("".join(reversed(digits))) == result


def test_each_place_of_the_letter_is_numbered() -> None:
    assert spell_with_count("strawberry", "r") == "s t r(1) a w b e r(2) r(3) y"
    assert spell_with_count("banana", "x") == "b a n a n a"
