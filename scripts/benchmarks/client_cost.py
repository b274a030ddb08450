"""What a token costs beside llama.cpp: its way from the sampler to the store's draft of the reply."""

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
    """Send thinking all the way, one delta a token; return the cost of one, for the blocks that end there.

    The deltas are not joined as they are in use, so that nothing depends on the speed of a model.
    """
    from qwen3_chat.engine.worker.deltas import DeltaBuilder

    seconds = count()
    deltas = DeltaBuilder(vocab, opened_by_prompt=True, clock=lambda: float(next(seconds)))
    costs_s, arrived, watch = list[float](), list[str](), RepetitionDetector()
    for number in range(max(ends)):
        token = _FIRST_ID + number * 7 % _IDS
        begun_s = time.perf_counter()
        for part in deltas.feed(token):
            reply = wire.decode_message(wire.encode(wire.EventEmitted(1, part)))
            if isinstance(reply, wire.EventEmitted) and isinstance(reply.event, ReasoningDelta):
                arrived.append(reply.event.text)
                watch.feed(reply.event)
        costs_s.append(time.perf_counter() - begun_s)
    assert len(arrived) > max(ends) // 2, "most tokens are no text here"
    return [statistics.median(costs_s[end - _BLOCK_TOKENS : end]) for end in ends]
