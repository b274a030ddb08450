"""Replies that are no whole answer: the screen says so, with the key that helps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qwen3_chat.chat import StopReason
from qwen3_chat.events import AnswerDelta, ReasoningDelta
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Start

THOUGHT = ReasoningDelta("Hm.", 1)


@pytest.mark.parametrize(
    ("reply", "sentences"),
    [
        ((THOUGHT, finished()), ("stopped while thinking and gave no answer.", "F5 asks", "Ctrl+T first")),
        ((AnswerDelta(" \n", 1), finished()), ("sent an empty reply.", "F5 asks for another reply.")),
        ((THOUGHT, finished(StopReason.MAX_TOKENS)), ("before any answer.", "F6 continues it")),
        (
            (AnswerDelta("It", 1), finished(StopReason.MAX_TOKENS)),
            ("Ended at the token limit.", "F6", "Ctrl+L"),
        ),
        ((THOUGHT, finished(StopReason.CONTEXT_FULL)), ("so there is no answer.", "F6 makes room")),
        ((AnswerDelta("It", 1), finished(StopReason.CONTEXT_FULL)), ("the context was full.", "F6")),
    ],
)
async def test_a_reply_that_is_no_whole_answer_says_so_with_the_key_that_helps(
    start: Start, reply: Sequence[Step], sentences: tuple[str, ...]
) -> None:
    async with start(FakeEngine(reply), size=(170, 24)) as app:
        await app.turn("How many?")
        for sentence in sentences:
            await app.sees(sentence)
    async with start(FakeEngine(), size=(170, 24), resume=1) as app:
        await app.sees(sentences[0])
