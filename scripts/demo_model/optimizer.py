"""Muon, the optimiser of the layers' matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MOMENTUM = 0.95
_WEIGHT_DECAY = 0.02


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Bring the singular values of matrices (n, rows, columns) near 1 (Newton-Schulz; Jordan, Muon, 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon:
    """Nesterov momentum whose update is orthogonalised; small networks learn more per step than by AdamW."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        shapes = dict.fromkeys(tuple(weight.shape) for weight in weights)
        self.groups = [[weight for weight in weights if tuple(weight.shape) == shape] for shape in shapes]
        """Matrices of one shape, which are updated together."""
        self.momenta = [torch.zeros_like(torch.stack(group)) for group in self.groups]

    def step(self, rate: float) -> None:
        """Update every matrix from its gradient, then drop the gradients."""
        with torch.no_grad():
            for weights, momentum in zip(self.groups, self.momenta, strict=True):
                gradient = torch.stack([weight.grad for weight in weights])
                momentum.lerp_(gradient, 1 - _MOMENTUM)
                update = orthogonalise(gradient.lerp(momentum, _MOMENTUM))
                scale = max(1.0, update.shape[1] / update.shape[2]) ** 0.5
                torch._foreach_mul_(weights, 1 - rate * _WEIGHT_DECAY)
                torch._foreach_add_(weights, list(update), alpha=-rate * scale)
                for weight in weights:
                    weight.grad = None
