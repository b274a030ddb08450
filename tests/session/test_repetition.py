from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.events import AnswerDelta, ReasoningDelta
from qwen3_chat.session.repetition import RepetitionDetector

LOOP = "Wait, let me check that again: the user wants the sum, so I have to add both numbers first. "
CHINESE_LOOP = "等等，让我再检查一遍：用户想要的是总和，所以我得先把两个数相加。"
COUNTING = "".join(
    f"Now I look at number {n}, which is {n * 7 % 13} modulo thirteen, so it stays. " for n in range(99)
)
CODE = (
    "def area(width: float, height: float) -> float:\n    # both in metres\n    return width * height\n" * 2
)
CASES = {
    "a loop": (LOOP * 12, True),
    "a loop of one word": ("r " * 200, True),
    "a Chinese loop": (CHINESE_LOOP * 12, True),
    "a loop after much else": (COUNTING + LOOP * 12, True),
    "a loop with numbers that change": ("".join(f"{LOOP}{n} " for n in range(30)), False),
    "a long list": (COUNTING, False),
    "said twice": (LOOP * 2, False),
    "code that is quoted once more": (COUNTING + CODE + COUNTING, False),
    "nothing": ("", False),
}


def first_notice(pieces: Sequence[str]) -> int | None:
    """Return the number of characters after which repetition is reported; None if it never is."""
    detector, length = RepetitionDetector(), 0
    reported = []
    for piece in pieces:
        length += len(piece)
        if detector.feed(ReasoningDelta(piece)):
            reported.append(length)
    assert len(reported) <= 1
    return reported[0] if reported else None


@pytest.mark.parametrize(("text", "repeats"), CASES.values(), ids=CASES)
def test_thinking_that_goes_round_in_circles_is_told_from_thinking_that_does_not(
    text: str, repeats: bool
) -> None:
    assert (first_notice([text[at : at + 7] for at in range(0, len(text), 7)]) is not None) is repeats


def test_a_loop_is_told_within_a_few_rounds() -> None:
    told_at = first_notice(list(COUNTING + LOOP * 20))
    assert told_at is not None
    assert (told_at - len(COUNTING)) / len(LOOP) < 9


def test_an_answer_that_repeats_itself_is_left_alone() -> None:
    detector = RepetitionDetector()
    assert not any(detector.feed(AnswerDelta(LOOP)) for _ in range(20))


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_how_the_text_is_cut_makes_no_difference(cuts: list[int]) -> None:
    text, pieces = LOOP * 12, []
    while text:
        for cut in cuts:
            pieces.append(text[:cut])
            text = text[cut:]
    assert first_notice(pieces) is not None
