"""Draws what the model learns from at some point of its training: the curriculum."""

from __future__ import annotations

import random

from demo_model.dialogues import draw_chat, draw_documented, draw_drill, draw_instructed, draw_language
from demo_model.mixes import DRILLED_SKILLS, DRILLS, SKILLS
from demo_model.single_turns import draw_single_turn
from demo_model.tool_chats import draw_tool_chat, draw_tools
from demo_model.trees import Row, row_of_dialogue, row_of_sample

# Copying a word out of the question, which every skill needs, is learnt sooner where nothing else is around.
SINGLE_TURNS_UNTIL = 0.04
# From here on what is hard is drilled, and digits that are worked out weigh more in the loss.
MIXED_UNTIL = 0.15


def draw_rows(rng: random.Random, progress: float) -> list[Row]:
    """Draw a handful of rows, about 5,000 tokens; `progress` goes from 0 to 1 through the training."""
    if progress < SINGLE_TURNS_UNTIL:
        return [row_of_sample(draw_single_turn(rng)) for _ in range(40)]
    return _draw_mixed(rng) if progress < MIXED_UNTIL else _draw_drilled(rng)


def _draw_mixed(rng: random.Random) -> list[Row]:
    rows = [row_of_dialogue(draw_chat(rng, draw_language(rng), 1, SKILLS)) for _ in range(6)]
    rows += [row_of_dialogue(draw_chat(rng, draw_language(rng), _draw_length(rng), SKILLS)) for _ in range(3)]
    if rng.random() < 0.5:
        rows.append(row_of_dialogue(draw_instructed(rng, rng.choice((1, 2, 3, 4)))))
    if rng.random() < 0.2:
        rows.append(row_of_dialogue(draw_documented(rng, draw_language(rng))))
    if rng.random() < 0.8:
        rows.append(_draw_tool_row(rng))
    return rows


def _draw_drilled(rng: random.Random) -> list[Row]:
    rows = [row_of_dialogue(draw_drill(rng, draw_language(rng), DRILLS)) for _ in range(7)]
    rows += [row_of_dialogue(draw_chat(rng, draw_language(rng), 1, DRILLED_SKILLS)) for _ in range(5)]
    for _ in range(2):
        chat = draw_chat(rng, draw_language(rng), _draw_length(rng), DRILLED_SKILLS, 0.08, 0.12)
        rows.append(row_of_dialogue(chat))
    if rng.random() < 0.5:
        rows.append(row_of_dialogue(draw_instructed(rng, rng.choice((1, 2, 3, 4)))))
    if rng.random() < 0.15:
        rows.append(row_of_dialogue(draw_documented(rng, draw_language(rng))))
    rows += [_draw_tool_row(rng) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2)))]
    for row in rows:
        row.stress()
    return rows


def _draw_length(rng: random.Random) -> int:
    return rng.choices((2, 3, 4, 6, 10), (5, 5, 4, 4, 2))[0]


def _draw_tool_row(rng: random.Random) -> Row:
    n_tools = rng.choices((1, 2, 3, 4, 6, 8, 9), (24, 26, 22, 14, 6, 5, 3))[0]
    # The schemas cost more than the turns, so many turns are learnt from one set of tools.
    lengths = (1, 2, 4, 6) if n_tools <= 4 else (2, 3, 4)
    return row_of_dialogue(
        draw_tool_chat(rng, draw_language(rng), rng.choice(lengths), draw_tools(rng, n_tools))
    )
