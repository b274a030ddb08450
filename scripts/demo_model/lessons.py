"""What a training on processors learns from: the app's tools beside a little of everything learnt before."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from demo_model.app_tools import draw_app_chats
from demo_model.batches import draw_rows
from demo_model.network import Network
from demo_model.packing import Batch, mask, pack
from demo_model.recipe import Recipe
from demo_model.shared_prefix import PrefixBatch, continue_prefix, pack_branches
from demo_model.trees import Row, row_of_dialogue, share_beginning

PREFIX_LENGTH = 1280
"""Tokens of the longest prompt with tools that is learnt from."""
SHORT, LONG = (40, 128), (10, 448)
"""Continuations of a prompt with tools, and the tokens in each: calls, and calls with results and answers."""
BINS = ((16, 256), (1, 1024), (1, 2560))
"""Bins and their lengths, for what was learnt before; a step has the longest one time in three."""
_N_STEPS_FOR_LONGEST = 3


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
        shapes = BINS if step % _N_STEPS_FOR_LONGEST == 0 else BINS[:-1]
        return Lesson(_draw_tools(rng, is_plain=step % 2 == 0), _draw_others(rng, shapes))


def _draw_tools(rng: random.Random, *, is_plain: bool) -> tuple[PrefixBatch, ...]:
    while True:
        dialogues = draw_app_chats(rng, 100, is_plain=is_plain)
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


def _draw_others(rng: random.Random, shapes: tuple[tuple[int, int], ...]) -> tuple[Batch, ...]:
    """Draw rows into the bins, each into the shortest that has room, until many in a row find none."""
    bins: list[list[list[Row]]] = [[[] for _ in range(n_bins)] for n_bins, _ in shapes]
    n_refused = 0
    while n_refused < 30:
        for row in draw_rows(rng, 1.0):
            rooms = (
                rows
                for group, (_, length) in zip(bins, shapes, strict=True)
                for rows in group
                if sum(map(len, rows)) + len(row) <= length
            )
            if (rows := next(rooms, None)) is None:
                n_refused += 1
            else:
                rows.append(row)
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
                losses.append(_mean_loss(network, states, tools))
            for others in lesson.others:
                states = self._forward(others.ids, others.positions, mask(others))
                losses.append(_mean_loss(network, states, others))
        return torch.stack(losses).mean()


def _mean_loss(network: Network, states: Tensor, batch: Batch | PrefixBatch) -> Tensor:
    logits = network.logits(states.flatten(0, 1)[batch.predictors]).float()
    losses = functional.cross_entropy(logits, batch.targets, reduction="none")
    return losses @ batch.weights / batch.weights.sum()
