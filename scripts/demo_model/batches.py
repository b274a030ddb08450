"""Draws the samples of one training step, the same for the same seed and step."""

from __future__ import annotations

import random
from dataclasses import dataclass

from demo_model.conversations import draw_sample
from demo_model.tokenizer import encode, special_id

# Copying a word out of the question, which every skill needs, is learnt sooner where nothing else is around.
N_SINGLE_TURN_STEPS = 800
PACKED_EVERY = 8
PACKED_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids and, for each, whether predicting it counts."""

    ids: list[int]
    counts: list[bool]


def draw_row(rng: random.Random, *, is_single_turn: bool = False) -> Row:
    """Draw one tokenised sample; only the reply's tokens count."""
    sample = draw_sample(rng, is_single_turn=is_single_turn)
    prompt, reply = encode(sample.prompt), encode(sample.reply)
    return Row(prompt + reply, [False] * len(prompt) + [True] * len(reply))


def _pack(rows: list[Row]) -> list[Row]:
    """Join samples into rows of at most `PACKED_LENGTH`, so that far positions are trained."""
    separator = special_id("<|endoftext|>")
    packed: list[Row] = []
    for row in rows:
        if packed and len(packed[-1].ids) + len(row.ids) < PACKED_LENGTH:
            packed[-1].ids.extend([separator, *row.ids])
            packed[-1].counts.extend([False, *row.counts])
        else:
            packed.append(Row(list(row.ids), list(row.counts)))
    return packed


def draw_step(seed: int, step: int, n_samples: int, n_groups: int) -> list[list[Row]]:
    """Draw a step's rows in groups of similar length; now and then packed into long rows instead."""
    rng = random.Random(f"{seed}:{step}")
    is_single_turn = step < N_SINGLE_TURN_STEPS
    rows = [draw_row(rng, is_single_turn=is_single_turn) for _ in range(n_samples)]
    if not is_single_turn and step % PACKED_EVERY == PACKED_EVERY - 1:
        return [[row] for row in _pack(rows)]
    rows.sort(key=lambda row: len(row.ids))
    size = -(-len(rows) // n_groups)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
