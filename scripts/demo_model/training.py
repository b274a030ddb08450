"""The training loop with checkpoints from which it continues exactly."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from demo_model.batches import Row, draw_step
from demo_model.gguf_file import Weights
from demo_model.network import Network
from demo_model.optimizer import Muon
from demo_model.shape import Shape


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, besides the data's code."""

    seed: int
    n_steps: int
    n_decay_steps: int
    n_samples: int = 20
    n_groups: int = 3
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
        """Return the factor on the learning rates: warm-up, constant, linear decay to zero."""
        warm_up = (self.step + 1) / self.recipe.n_warm_up_steps
        left = (self.recipe.n_steps - self.step) / max(1, self.recipe.n_decay_steps)
        return max(0.0, min(1.0, warm_up, left))

    def advance(self) -> float:
        """Make one step; return the mean loss of the reply tokens."""
        started = time.monotonic()
        recipe = self.recipe
        groups = draw_step(recipe.seed, self.step, recipe.n_samples, recipe.n_groups)
        n_counted = sum(sum(row.counts) for rows in groups for row in rows)
        total = 0.0
        for rows in groups:
            loss = summed_loss(self.network, rows) / n_counted
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
    """Return the summed cross-entropy of the tokens that count; rows are padded to the longest."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
    counts = torch.tensor([row.counts + [False] * (width - len(row.counts)) for row in rows])
    wanted = counts[:, 1:].flatten().nonzero().squeeze(1)
    logits = network(ids[:, :-1], wanted)
    return functional.cross_entropy(logits, ids[:, 1:].flatten()[wanted], reduction="sum")
