"""The cost of a token besides llama.cpp: its way from the sampler to the draft of the reply."""

from __future__ import annotations

import statistics
import time
from itertools import count
from typing import TYPE_CHECKING

from qwen3_chat.engine import wire
from qwen3_chat.events import ReasoningDelta
from qwen3_chat.session.repetition import RepetitionDetector

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.vocab import Vocab

_BLOCK_TOKENS = 100
_FIRST_ID, _IDS = 2000, 20_000  # text, in the made-up vocabulary as in Qwen3's


def block_costs_s(vocab: Vocab, ends: tuple[int, ...]) -> list[float]:
    """Send thinking all the way, one delta per token; return the median cost, for the blocks that end there.

    The deltas are not joined as they are in real use, so that nothing depends on the speed of a model.
    """
    from qwen3_chat.engine.worker.deltas import DeltaBuilder

    seconds = count()
    deltas = DeltaBuilder(vocab, opened_by_prompt=True, clock=lambda: float(next(seconds)))
    costs_s, arrived, detector = list[float](), list[str](), RepetitionDetector()
    for number in range(max(ends)):
        token = _FIRST_ID + number * 7 % _IDS
        started_s = time.perf_counter()
        for part in deltas.feed(token):
            message = wire.decode_message(wire.encode(wire.EventEmitted(1, part)))
            if isinstance(message, wire.EventEmitted) and isinstance(message.event, ReasoningDelta):
                arrived.append(message.event.text)
                detector.feed(message.event)
        costs_s.append(time.perf_counter() - started_s)
    assert len(arrived) > max(ends) // 2, "most tokens are no text here"
    return [statistics.median(costs_s[end - _BLOCK_TOKENS : end]) for end in ends]
