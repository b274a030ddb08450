"""The quality of models and quants by published results; `quality.toml` has them with their sources."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Final

import msgspec

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog.family import FamilyModel

QUALITY_FILE: Final = Path(__file__).with_name("quality.toml")
SMALL_PARAMETERS = 3e9
"""The size of a network below which fewer bits cost more."""

Results = tuple[float, float, float]
"""MMLU-Redux, GPQA-Diamond and LiveBench, in percent."""


class ModelQuality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The results of a model in the modes that it has, with the page that publishes them."""

    name: str
    source: str
    think: Results | None = None
    no_think: Results | None = None
    is_estimate: bool = False

    def points(self, mode: ThinkingMode) -> float | None:
        """Return the mean of the results in a mode; None where the model has no such mode."""
        results = self.think if mode is ThinkingMode.THINK else self.no_think
        return fmean(results) if results else None

    @property
    def best_points(self) -> float:
        """The mean of the results in the better mode."""
        return max(points for mode in ThinkingMode if (points := self.points(mode)) is not None)


class QuantQuality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The points that quants lose; small models lose `small_model_factor` times as much."""

    offered: tuple[str, ...]
    small_model_factor: float
    source: str
    is_estimate: bool
    loss: dict[str, float]


class QualityFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `quality.toml`."""

    models: tuple[ModelQuality, ...]
    quants: QuantQuality


@cache
def load_quality() -> QualityFile:
    """Read `quality.toml`, which comes with the package."""
    return msgspec.toml.decode(QUALITY_FILE.read_bytes(), type=QualityFile)


def quant_loss(model: FamilyModel, quant: str) -> float | None:
    """Return the points that a model loses in a quant; None where nothing is known of it."""
    quants = load_quality().quants
    loss = quants.loss.get(quant.upper())
    if loss is None:
        return None
    return loss * (quants.small_model_factor if model.shape.parameters < SMALL_PARAMETERS else 1)
