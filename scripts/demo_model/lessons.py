"""What a training on processors learns from: the app's tools beside a little of everything learnt before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from demo_model.app_tools import draw_app_chats
from demo_model.batches import draw_rows
from demo_model.dialogues import Dialogue, draw_language
from demo_model.instructions import draw_plain_prompt
from demo_model.network import Network
from demo_model.packing import Batch, mask, pack
from demo_model.recipe import Recipe
from demo_model.shared_prefix import PrefixBatch, continue_prefix, pack_branches
from demo_model.tool_chats import draw_tool_chat, draw_tools
from demo_model.trees import Row, row_of_dialogue, share_beginning

PREFIX_LENGTH = 1280
"""Tokens of the longest prompt with tools that is learnt from in this way."""
SHORT, LONG = (40, 128), (10, 448)
"""Continuations of a prompt with tools, and the tokens in each: calls, and calls with results and answers."""
BINS = ((8, 256), (4, 1024), (1, 3328))
"""Bins and their lengths, for what was learnt before; every second step has the longest, for many tools."""
_N_CHATS = 130
_MAX_DRAWS = 16


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one step learns from: continuations of one prompt with tools, and bins of rows."""

    tools: tuple[PrefixBatch, ...]
    others: tuple[Batch, ...]


class Lessons(Dataset[Lesson]):
    """The lessons of a training by the number of the step, drawn when they are asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __len__(self) -> int:
        """Count the steps."""
        return self.recipe.n_steps

    def __getitem__(self, step: int) -> Lesson:
        """Draw a step's lesson, the same for the same seed and step."""
        rng = random.Random(f"lesson:{self.recipe.seed}:{step}")
        return Lesson(_draw_tools(rng, step), _draw_others(rng, BINS if step % 2 == 0 else BINS[:-1]))


def _draw_tools(rng: random.Random, step: int) -> tuple[PrefixBatch, ...]:
    """Draw chats with the app's tools, with made-up ones, or with both, in turns."""
    while True:
        match step % 3:
            case 0:
                dialogues = draw_app_chats(rng, _N_CHATS, is_plain=True)
            case 1:
                dialogues = _draw_made_up(rng)
            case _:
                dialogues = draw_app_chats(rng, _N_CHATS, is_plain=False)
        row = share_beginning([row_of_dialogue(dialogue) for dialogue in dialogues])
        if len(row.trunk.ids) <= PREFIX_LENGTH:
            break
    rng.shuffle(row.branches)
    short = [branch for branch in row.branches if len(branch[1].ids) < SHORT[1]]
    long = [branch for branch in row.branches if len(branch[1].ids) >= SHORT[1]]
    return (
        pack_branches(Row(row.trunk, short), PREFIX_LENGTH, *SHORT),
        pack_branches(Row(row.trunk, long), PREFIX_LENGTH, *LONG),
    )


def _draw_made_up(rng: random.Random) -> list[Dialogue]:
    tools = draw_tools(rng, rng.choices((1, 2, 3, 4, 5), (15, 25, 25, 20, 15))[0])
    system = draw_plain_prompt(rng, draw_language(rng)) if rng.random() < 0.3 else ""
    return [draw_tool_chat(rng, draw_language(rng), 1, tools, system) for _ in range(_N_CHATS)]


def _draw_others(rng: random.Random, shapes: Sequence[tuple[int, int]]) -> tuple[Batch, ...]:
    """Draw rows into the bins of the shortest length that holds them."""
    bins: list[list[list[Row]]] = [[[] for _ in range(n_bins)] for n_bins, _ in shapes]
    if shapes[-1] == BINS[-1]:
        chat = draw_tool_chat(
            rng, draw_language(rng), rng.choice((1, 2, 3)), draw_tools(rng, rng.choice((8, 9)))
        )
        row = row_of_dialogue(chat)
        bins[-1][0] += [row] if len(row) <= BINS[-1][1] else []
    for _ in range(_MAX_DRAWS):
        for row in draw_rows(rng, 1.0):
            fitting = (pair for pair in zip(bins, shapes, strict=True) if len(row) <= pair[1][1])
            group, (_, length) = next(fitting, ([], (0, 0)))
            rooms = (rows for rows in group if sum(map(len, rows)) + len(row) <= length)
            next(rooms, []).append(row)
    return tuple(pack(group, length) for group, (_, length) in zip(bins, shapes, strict=True))


class LossOfLesson:
    """The loss of a lesson, compiled, in bfloat16: the mean over its parts."""

    def __init__(self, network: Network) -> None:
        self._forward = torch.compile(network, dynamic=False)
        self._continue = torch.compile(continue_prefix, dynamic=False)

    def __call__(self, network: Network, lesson: Lesson) -> Tensor:
        """Return the loss."""
        losses = []
        with torch.autocast("cpu", torch.bfloat16):
            for tools in lesson.tools:
                states = self._continue(network, tools.prefix, tools.n_prefix, tools.ids)
                losses.append(network.mean_loss(states, tools))
            for others in lesson.others:
                states = self._forward(others.ids, others.positions, mask(others))
                losses.append(network.mean_loss(states, others))
        return torch.stack(losses).mean()
