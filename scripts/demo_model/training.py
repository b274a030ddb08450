"""The training loop with checkpoints from which it continues exactly."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from demo_model.batches import draw_step
from demo_model.gguf_file import Weights
from demo_model.network import Layout, Network
from demo_model.optimizer import Muon
from demo_model.shape import Shape
from demo_model.trees import Row


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data's code."""

    seed: int
    n_steps: int = 3640
    decay_begin: int = 2540
    n_decay_steps: int = 1000
    tail_rate: float = 0.3
    n_tail_steps: int = 533
    n_warm_up_steps: int = 30
    matrix_rate: float = 0.02
    other_rate: float = 0.003
    average_decay: float = 0.98


class Training:
    """A network, its optimisers and a running average of its weights, at some step."""

    def __init__(self, shape: Shape, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.shape = shape
        self.network = Network(shape)
        matrices = [
            weight
            for name, weight in self.network.named_parameters()
            if name.startswith("blocks") and weight.dim() == 2
        ]
        chosen = set(map(id, matrices))
        others = [weight for weight in self.network.parameters() if id(weight) not in chosen]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0)
        self.average = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}
        self.step = 0
        self.loss = float("nan")
        self.seconds = 0.0

    def rate(self) -> float:
        """Return the factor on the learning rates: warm-up, constant, linear decay with a longer tail."""
        recipe = self.recipe
        warm_up = (self.step + 1) / recipe.n_warm_up_steps
        decay = (recipe.decay_begin + recipe.n_decay_steps - self.step) / recipe.n_decay_steps
        tail = min(recipe.tail_rate, (recipe.n_steps - self.step) / recipe.n_tail_steps)
        return max(0.0, min(1.0, warm_up, max(decay, tail)))

    def advance(self) -> float:
        """Make one step; return the mean loss of the reply tokens."""
        started = time.monotonic()
        recipe = self.recipe
        groups = draw_step(recipe.seed, self.step)
        weight = sum(row.weight() for rows in groups for row in rows)
        total = 0.0
        for rows in groups:
            loss = summed_loss(self.network, rows) / weight
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        rate = self.rate()
        self.muon.step(recipe.matrix_rate * rate)
        for group in self.adam.param_groups:
            group["lr"] = recipe.other_rate * rate
        self.adam.step()
        self.adam.zero_grad()
        with torch.no_grad():
            for name, weight in self.network.named_parameters():
                self.average[name].lerp_(
                    weight, 1 - min(recipe.average_decay, (self.step + 1) / (self.step + 10))
                )
        self.step += 1
        self.loss = total if self.step == 1 else 0.95 * self.loss + 0.05 * total
        self.seconds += time.monotonic() - started
        return total

    def save(self, path: Path) -> None:
        """Write a checkpoint in one step."""
        state: dict[str, Any] = {
            "shape": asdict(self.shape),
            "network": self.network.state_dict(),
            "momenta": self.muon.momenta,
            "adam": self.adam.state_dict(),
            "average": self.average,
            "step": self.step,
            "loss": self.loss,
            "seconds": self.seconds,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.muon.momenta = state["momenta"]
        self.adam.load_state_dict(state["adam"])
        self.average = state["average"]
        self.step, self.loss, self.seconds = state["step"], state["loss"], state["seconds"]

    def averaged_weights(self) -> Weights:
        """Return the running average of the weights, which answers better than the last step's."""
        return {name: weight.numpy() for name, weight in self.average.items()}


def summed_loss(network: Network, rows: list[Row]) -> Tensor:
    """Return the weighted sum of the cross-entropies; rows are padded, one with branches is alone."""
    if rows[0].branches:
        (row,) = rows
        return _loss_with_branches(network, row)
    width = max(len(row) for row in rows)
    ids = torch.tensor([row.trunk.ids + [0] * (width - len(row)) for row in rows])
    weights = torch.tensor([row.trunk.weights + [0.0] * (width - len(row)) for row in rows])[:, 1:].flatten()
    wanted = weights.nonzero().squeeze(1)
    logits = network(ids[:, :-1], wanted)
    losses = functional.cross_entropy(logits, ids[:, 1:].flatten()[wanted], reduction="none")
    return losses @ weights[wanted]


def _loss_with_branches(network: Network, row: Row) -> Tensor:
    """Do the same for one row; a branch's first token follows the last one of the trunk that it sees."""
    ids, weights = list(row.trunk.ids), list(row.trunk.weights)
    before = list(range(-1, len(ids) - 1))
    for n_seen, branch in row.branches:
        before += [n_seen - 1, *range(len(ids), len(ids) + len(branch.ids) - 1)]
        ids += branch.ids
        weights += branch.weights
    layout = Layout(len(row.trunk.ids), [(n_seen, len(branch.ids)) for n_seen, branch in row.branches])
    weight = torch.tensor(weights)
    chosen = weight.nonzero().squeeze(1)
    all_ids = torch.tensor(ids)
    logits = network(all_ids[None], torch.tensor(before)[chosen], layout)
    return functional.cross_entropy(logits, all_ids[chosen], reduction="none") @ weight[chosen]
