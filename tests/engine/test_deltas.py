from __future__ import annotations

from itertools import count

import pytest

from qwen3_chat.engine.reply_splitter import ReplyPart
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.events import AnswerDelta, ReasoningDelta


def reply_ids(vocab: Vocab, *parts: str) -> list[int]:
    """Tokenise a reply; a part that is a special token's spelling becomes that token."""
    return [
        token
        for part in parts
        for token in ([vocab.specials[part]] if part in vocab.specials else vocab.encode(part))
    ]


def fed_one_by_one(vocab: Vocab, ids: list[int]) -> list[ReplyPart]:
    ticks = count()
    deltas = DeltaBuilder(vocab, opened_by_prompt=False, clock=lambda: float(next(ticks)))
    return [part for token in ids for part in deltas.feed(token)] + deltas.flush()


@pytest.mark.parametrize("text", ["龘靐齉", "𠮷野家で牛丼", "👩‍👩‍👧‍👦 family", "naïve café", "ﷺ𒐫"])
def test_a_character_arrives_whole_however_its_bytes_are_spread(demo_vocab: Vocab, text: str) -> None:
    ids = demo_vocab.encode(text)
    parts = fed_one_by_one(demo_vocab, ids)
    assert "".join(part.text for part in parts if isinstance(part, AnswerDelta)) == text
    assert len(ids) > len(parts)


def test_a_character_that_is_never_completed_is_dropped(demo_vocab: Vocab) -> None:
    ids = demo_vocab.encode("ok 𒐫")[:-1]
    parts = fed_one_by_one(demo_vocab, ids)
    assert "".join(part.text for part in parts if isinstance(part, AnswerDelta)).strip() == "ok"


def test_thinking_and_answer_are_counted_apart(demo_vocab: Vocab) -> None:
    ids = reply_ids(demo_vocab, "<think>", "\nab\n", "</think>", "\n\ncd")
    n_answer = len(demo_vocab.encode("\n\ncd"))
    parts = fed_one_by_one(demo_vocab, ids)
    reasoning = [part for part in parts if isinstance(part, ReasoningDelta)]
    answer = [part for part in parts if isinstance(part, AnswerDelta)]
    assert "".join(part.text for part in reasoning) == "ab"
    assert "".join(part.text for part in answer) == "cd"
    assert answer[-1].tokens == n_answer
    deltas = DeltaBuilder(demo_vocab, opened_by_prompt=False)
    for token in ids:
        deltas.feed(token)
    deltas.flush()
    assert (deltas.reasoning_tokens, deltas.answer_tokens) == (len(ids) - n_answer, n_answer)
    assert deltas.reasoning_s > 0


def test_a_mark_that_is_only_spelled_is_text(demo_vocab: Vocab) -> None:
    spelled = [token for piece in ("<", "think>") for token in demo_vocab.encode(piece)]
    parts = fed_one_by_one(demo_vocab, spelled)
    assert "".join(part.text for part in parts if isinstance(part, AnswerDelta)) == "<think>"


def test_the_first_delta_comes_at_once_and_the_next_are_joined(demo_vocab: Vocab) -> None:
    now_s = 10.0
    deltas = DeltaBuilder(demo_vocab, opened_by_prompt=False, clock=lambda: now_s)
    first, second, third, fourth = (demo_vocab.encode(letter)[0] for letter in "abcd")
    assert deltas.feed(first) == [AnswerDelta("a", 1)]
    assert deltas.feed(second) == []
    now_s += 0.02
    assert deltas.feed(third) == []
    now_s += 0.02
    assert deltas.feed(fourth) == [AnswerDelta("bcd", 4)]
    assert deltas.flush() == []
