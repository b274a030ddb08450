"""Packs rows into bins of one length, and tells which tokens of a bin see which."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from demo_model.batches import draw_rows
from demo_model.recipe import Recipe
from demo_model.trees import Row


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from: bins (n_bins, length), and the tokens in them that are predicted (n)."""

    ids: Tensor
    positions: Tensor
    """A token's place in what its reply sees."""
    rows: Tensor
    """The number of a token's row in its bin, -1 in the padding."""
    branches: Tensor
    """The number of a token's branch in its row, 0 in the trunk."""
    limits: Tensor
    """The index in the bin before which a branch sees the trunk."""
    predictors: Tensor
    """Flat indices of the tokens after which the next one is predicted."""
    targets: Tensor
    weights: Tensor

    def bin(self, number: int) -> Batch:
        """Give one bin of its bins; what is predicted stays that of all."""
        names = ("ids", "positions", "rows", "branches", "limits")
        return replace(self, **{name: getattr(self, name)[number, None] for name in names})

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


class Steps(Dataset[Batch]):
    """The batches of a training by the number of the step, drawn when they are asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __len__(self) -> int:
        """Count the steps."""
        return self.recipe.n_steps

    def __getitem__(self, step: int) -> Batch:
        """Draw a step's batch, the same for the same seed and step."""
        recipe = self.recipe
        rng = random.Random(f"{recipe.seed}:{step}")
        return pack(_fill(rng, recipe.progress(step), recipe), recipe.length)


def _fill(rng: random.Random, progress: float, recipe: Recipe) -> list[list[Row]]:
    """Draw rows into the bins, each into the first that has room, until one finds none."""
    bins: list[list[Row]] = [[] for _ in range(recipe.n_bins)]
    room = [recipe.length] * recipe.n_bins
    while True:
        for row in draw_rows(rng, progress):
            if len(row) > recipe.length:
                continue
            number = next((number for number, left in enumerate(room) if left >= len(row)), None)
            if number is None:
                return bins
            bins[number].append(row)
            room[number] -= len(row)


def pack(bins: list[list[Row]], length: int) -> Batch:
    """Lay out the rows of each bin one after the other: the trunk, then its branches."""
    shape = (len(bins), length)
    ids, positions, branches, limits = (torch.zeros(shape, dtype=torch.int32) for _ in range(4))
    numbers = torch.full(shape, -1, dtype=torch.int32)
    predictors: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    for bin_number, rows in enumerate(bins):
        start = 0
        for row_number, row in enumerate(rows):
            begin = start
            for branch, (n_seen, tokens) in enumerate([(0, row.trunk), *row.branches]):
                end = start + len(tokens.ids)
                ids[bin_number, start:end] = torch.tensor(tokens.ids)
                positions[bin_number, start:end] = torch.arange(n_seen, n_seen + end - start)
                numbers[bin_number, start:end] = row_number
                branches[bin_number, start:end] = branch
                limits[bin_number, start:end] = begin + n_seen
                for index, weight in enumerate(tokens.weights):
                    if weight:
                        before = start + index - 1 if index else begin + n_seen - 1
                        predictors.append(bin_number * length + before)
                        targets.append(tokens.ids[index])
                        weights.append(weight)
                start = end
    counted = torch.tensor(predictors), torch.tensor(targets), torch.tensor(weights)
    return Batch(ids, positions, numbers, branches, limits, *counted)


def sees(batch: Batch, bin_number: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Tell which tokens see which: the trunk before, and of a branch what stands before in it."""
    rows, branches = batch.rows, batch.branches
    same_row = rows[bin_number, query] == rows[bin_number, key]
    in_trunk = (branches[bin_number, key] == 0) & (key < batch.limits[bin_number, query])
    in_branch = (branches[bin_number, query] == branches[bin_number, key]) & (key <= query)
    return same_row & (in_trunk | in_branch)


def mask(batch: Batch) -> Tensor:
    """Return what `sees` says of all pairs of tokens, (n_bins, 1, length, length)."""
    n_bins, length = batch.ids.shape
    indices = torch.arange(length, device=batch.ids.device)
    bin_numbers = torch.arange(n_bins, device=batch.ids.device)
    return sees(batch, bin_numbers[:, None, None], indices[:, None], indices)[:, None]
