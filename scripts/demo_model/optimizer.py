"""Muon, the optimiser of the layers' matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MOMENTUM = 0.95
_WEIGHT_DECAY = 0.02


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Bring a matrix's singular values near 1 by Newton-Schulz iteration (Jordan et al., Muon, 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon:
    """Nesterov momentum whose update is orthogonalised; small networks learn more per step than by AdamW."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = list(weights)
        self.momenta = [torch.zeros_like(weight) for weight in weights]

    def step(self, rate: float) -> None:
        """Update every matrix from its gradient, then drop the gradients."""
        with torch.no_grad():
            for weight, momentum in zip(self.weights, self.momenta, strict=True):
                momentum.lerp_(weight.grad, 1 - _MOMENTUM)
                update = orthogonalise(weight.grad.lerp(momentum, _MOMENTUM))
                scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - rate * _WEIGHT_DECAY).add_(update, alpha=-rate * scale)
                weight.grad = None
