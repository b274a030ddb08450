"""Draws what one training step learns from, the same for the same seed and step: the curriculum."""

from __future__ import annotations

import random
from collections.abc import Mapping

from demo_model.dialogues import draw_chat, draw_documented, draw_drill, draw_instructed
from demo_model.exchange import Language, Skill
from demo_model.mixes import DRILLS, FINISH_DRILLS, LAST_DRILLS, LAST_SKILLS, LATER_SKILLS
from demo_model.single_turns import draw_single_turn
from demo_model.tool_chats import draw_tool_chat
from demo_model.trees import Row, row_of_dialogue, row_of_sample

# Copying a word out of the question, which every skill needs, is learnt sooner where nothing else is around.
N_SINGLE_TURN_STEPS = 800
# From here on what is hard is drilled, and digits that are worked out weigh more in the loss.
N_STEPS_BEFORE_DRILLS = 1920
N_STEPS_BEFORE_LAST = 2300
N_STEPS_BEFORE_FINISH = 3240
N_SINGLE_TURNS = 24
N_GROUPS = 3
MAX_LENGTH = 3600
LAST_MAX_LENGTH = 5000


def draw_step(seed: int, step: int) -> list[list[Row]]:
    """Draw a step's rows in groups of similar length; a row with branches is a group of its own."""
    rng = random.Random(f"{seed}:{step}")
    if step < N_SINGLE_TURN_STEPS:
        return _group([row_of_sample(draw_single_turn(rng)) for _ in range(N_SINGLE_TURNS)], N_GROUPS)
    if step < N_STEPS_BEFORE_DRILLS:
        return _draw_mixed(rng)
    if step < N_STEPS_BEFORE_LAST:
        return _draw_drilled(rng, DRILLS, is_last=False)
    if step < N_STEPS_BEFORE_FINISH:
        return _draw_drilled(rng, LAST_DRILLS, is_last=True)
    return _draw_drilled(rng, FINISH_DRILLS, is_last=True, n_groups=6)


def _draw_mixed(rng: random.Random) -> list[list[Row]]:
    short = [row_of_dialogue(draw_chat(rng, _draw_language(rng), 1)) for _ in range(6)]
    long = [row_of_dialogue(draw_chat(rng, _draw_language(rng), _draw_length(rng))) for _ in range(3)]
    if rng.random() < 0.5:
        long.append(row_of_dialogue(draw_instructed(rng, rng.choice((1, 2, 3, 4)))))
    if rng.random() < 0.2:
        long.append(row_of_dialogue(draw_documented(rng, _draw_language(rng))))
    if rng.random() < 0.7:
        long.append(_draw_tool_row(rng, is_last=False))
    return [*_group(short, 2), *([row] for row in long if len(row) <= MAX_LENGTH)]


def _draw_drilled(
    rng: random.Random, drills: Mapping[Skill, float], *, is_last: bool, n_groups: int = N_GROUPS
) -> list[list[Row]]:
    skills = LAST_SKILLS if is_last else LATER_SKILLS
    title_rate, summary_rate = (0.08, 0.12) if is_last else (0.05, 0.06)
    short = [row_of_dialogue(draw_drill(rng, _draw_language(rng), drills)) for _ in range(9)]
    short += [row_of_dialogue(draw_chat(rng, _draw_language(rng), 1, skills)) for _ in range(5)]
    long = []
    for _ in range(2):
        chat = draw_chat(rng, _draw_language(rng), _draw_length(rng), skills, title_rate, summary_rate)
        long.append(row_of_dialogue(chat))
    if rng.random() < 0.4:
        long.append(row_of_dialogue(draw_instructed(rng, rng.choice((1, 2, 3, 4)))))
    if rng.random() < 0.15:
        long.append(row_of_dialogue(draw_documented(rng, _draw_language(rng))))
    if rng.random() < 0.55:
        long.append(_draw_tool_row(rng, is_last=is_last))
    for row in (*short, *long):
        row.stress()
    longest = LAST_MAX_LENGTH if is_last else MAX_LENGTH
    return [*_group(short, n_groups), *([row] for row in long if len(row) <= longest)]


def _draw_length(rng: random.Random) -> int:
    return rng.choices((2, 3, 4, 6, 10), (5, 5, 4, 4, 2))[0]


def _draw_tool_row(rng: random.Random, *, is_last: bool) -> Row:
    n_tools = rng.choices((1, 2, 3, 4, 6, 8), (30, 30, 20, 10, 5, 5))[0]
    # The schemas cost more than the turns, so at last many turns are learnt from one set of tools.
    lengths = (2, 3, 4) if not is_last or n_tools > 4 else (4, 6, 8)
    return row_of_dialogue(draw_tool_chat(rng, _draw_language(rng), rng.choice(lengths), n_tools))


def _draw_language(rng: random.Random) -> Language:
    return Language.EN if rng.random() < 0.52 else Language.ZH


def _group(rows: list[Row], n_groups: int) -> list[list[Row]]:
    rows.sort(key=lambda row: len(row))
    size = -(-len(rows) // n_groups)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
