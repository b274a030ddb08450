"""The training loop with checkpoints from which it continues exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import set_sharing_strategy
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from torch.utils.data import DataLoader

from demo_model.gguf_file import Weights, read_weights
from demo_model.lessons import Lesson, Lessons, LossOfLesson
from demo_model.network import Network
from demo_model.optimizer import Muon
from demo_model.packing import Batch, Steps, mask, sees
from demo_model.recipe import Recipe
from demo_model.shape import Shape


class Training:
    """A network, its optimisers and a running average of its weights, at some step."""

    def __init__(self, shape: Shape, recipe: Recipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.shape = shape
        self.device = torch.device(device)
        self.network = Network(shape).to(self.device)
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
        self._loss_of: Callable[[Network, Any], Tensor] = loss_of
        if recipe.teaches_app_tools:
            self._loss_of = LossOfLesson(self.network)
        elif self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            self._loss_of = LossOnGpu(self.network)

    def batches(self, n_workers: int = 0) -> Iterator[Batch | Lesson]:
        """Draw the batches from this step to the last, by `n_workers` processes beside this one."""
        set_sharing_strategy(
            "file_system"
        )  # many batches wait, of many tensors each: no file handle for each
        return iter(
            DataLoader(
                Lessons(self.recipe) if self.recipe.teaches_app_tools else Steps(self.recipe),
                batch_size=None,
                sampler=range(self.step, self.recipe.n_steps),
                num_workers=n_workers,
                prefetch_factor=8 if n_workers else None,
                collate_fn=_as_it_is,
            )
        )

    def advance(self, batch: Batch | Lesson) -> Tensor:
        """Make one step; return the mean loss of the reply tokens."""
        started = time.monotonic()
        recipe = self.recipe
        loss = self._loss_of(self.network, batch.to(self.device) if isinstance(batch, Batch) else batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        rate = recipe.rate(self.step)
        self.muon.step(recipe.matrix_rate * rate)
        for group in self.adam.param_groups:
            group["lr"] = recipe.other_rate * rate
        self.adam.step()
        self.adam.zero_grad()
        share = 1 - min(recipe.average_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.network.parameters()), share)
        self.step += 1
        self.seconds += time.monotonic() - started
        return loss.detach()

    def note(self, loss: Tensor) -> None:
        """Let a step's loss count in the one that is reported."""
        self.loss = loss.item() if self.loss != self.loss else 0.5 * (self.loss + loss.item())

    def save(self, path: Path) -> None:
        """Write a checkpoint in one step."""
        state: dict[str, Any] = {
            "shape": asdict(self.shape),
            "recipe": asdict(self.recipe),
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

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Training:
        """Return the training as it was when the checkpoint was written."""
        state = torch.load(path, weights_only=True, map_location=device)
        training = cls(Shape(**state["shape"]), Recipe(**state["recipe"]), device)
        training.network.load_state_dict(state["network"])
        training.muon.momenta = state["momenta"]
        training.adam.load_state_dict(state["adam"])
        training.average = state["average"]
        training.step, training.loss, training.seconds = state["step"], state["loss"], state["seconds"]
        return training

    def begin_with(self, path: Path) -> None:
        """Take over the averaged weights of another training's checkpoint, or those of a GGUF file."""
        if path.suffix == ".gguf":
            self.network.begin_with(read_weights(path, self.average))
        else:
            state = torch.load(path, weights_only=True, map_location=self.device)
            self.network.load_state_dict(state["average"])
        self.average = {name: weight.detach().clone() for name, weight in self.network.named_parameters()}

    def averaged_weights(self) -> Weights:
        """Return the running average of the weights, which answers better than the last step's."""
        return {name: weight.cpu().numpy() for name, weight in self.average.items()}


def _as_it_is(batch: Batch | Lesson) -> Batch | Lesson:
    return batch


def loss_of(network: Network, batch: Batch) -> Tensor:
    """Return the weighted mean of the cross-entropies, bin after bin."""
    states = [
        network(batch.ids[number, None], batch.positions[number, None], mask(batch.bin(number)))
        for number in range(len(batch.ids))
    ]
    return network.mean_loss(torch.cat(states), batch)


class LossOnGpu:
    """The same loss, compiled: all bins at once, in bfloat16, without the blocks in which nothing is seen."""

    def __init__(self, network: Network) -> None:
        self._forward = torch.compile(network, dynamic=False)
        self._block_mask = torch.compile(create_block_mask, dynamic=False)
        self._batch: Batch | None = None

    def __call__(self, network: Network, batch: Batch) -> Tensor:
        """Return the weighted mean of the cross-entropies."""
        seen = self._blocks(batch)
        with torch.autocast("cuda", torch.bfloat16):
            return network.mean_loss(self._forward(batch.ids, batch.positions, seen), batch)

    def _blocks(self, batch: Batch) -> BlockMask:
        """Make the mask from tensors that stay in place, for which nothing is compiled again."""
        if self._batch is None:
            self._batch = batch
        kept = self._batch
        for name in ("rows", "branches", "limits"):
            getattr(kept, name).copy_(getattr(batch, name))

        def seen(bin_number: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return sees(kept, bin_number, query, key)

        n_bins, length = batch.ids.shape
        return self._block_mask(seen, n_bins, None, length, length, device=batch.ids.device)
