"""The speed and the memory of models that have run on this machine, which correct what is predicted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

MAX_SPEEDS = 5
"""The number of replies whose speeds count, the latest ones."""
MIN_REPLY_TOKENS = 32
"""The shortest reply whose speed counts."""
_EARLIER_SHARE = 0.6
_TOLERANCE = 0.01  # of parameters and bytes, which several ways of counting give

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
_TokensPerS = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]


@dataclass(frozen=True, slots=True)
class ObservedSpeed:
    """The speed of a reply, with the mean number of tokens before its own."""

    depth: _Count
    tokens_per_s: _TokensPerS


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A model as it was loaded, with the speeds of its latest replies.

    `held_bytes` is the memory of the engine's process that the system can't take back without a loss, 0 where
    that is not known. `draft_parameters` are those of the model that drafted for it, 0 without one, and
    `draft_speedup` is how many times as fast that made the replies.
    """

    architecture: _Name
    parameters: _Count
    size_bytes: _Count
    n_gpu_layers: _Count
    n_cpu_moe: _Count
    kv_type: _Name
    n_ctx: _Count
    held_bytes: _Count
    speeds: tuple[ObservedSpeed, ...]
    draft_parameters: _Count = 0
    draft_speedup: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0

    def is_of(self, architecture: str, parameters: int, size_bytes: int) -> bool:
        """Return whether it is a run of such a network in such a quant."""
        return (
            self.architecture == architecture
            and abs(self.parameters - parameters) <= _TOLERANCE * parameters
            and abs(self.size_bytes - size_bytes) <= _TOLERANCE * size_bytes
        )

    def has_same_plan(self, other: ObservedRun) -> bool:
        """Return whether the other run is of the same model, loaded in the same way."""
        return self.is_of(other.architecture, other.parameters, other.size_bytes) and (
            self.n_gpu_layers,
            self.n_cpu_moe,
            self.kv_type,
            self.n_ctx,
            self.draft_parameters,
        ) == (other.n_gpu_layers, other.n_cpu_moe, other.kv_type, other.n_ctx, other.draft_parameters)

    def followed_by(self, later: ObservedRun) -> ObservedRun:
        """Return a later run with the speeds of this one before its own."""
        speeds = (*self.speeds, *later.speeds)[-MAX_SPEEDS:]
        return ObservedRun(
            later.architecture,
            later.parameters,
            later.size_bytes,
            later.n_gpu_layers,
            later.n_cpu_moe,
            later.kv_type,
            later.n_ctx,
            max(self.held_bytes, later.held_bytes),
            speeds,
            later.draft_parameters,
            _mixed(self.draft_speedup, later.draft_speedup),
        )


def find_runs(
    runs: Iterable[ObservedRun],
    network: tuple[str, int, int],
    n_gpu_layers: int,
    n_cpu_moe: int,
    kv_type: str,
) -> tuple[ObservedRun, ...]:
    """Return the runs of a network in that placement, without a draft model, whatever the context.

    The network is its architecture, its number of parameters and the bytes of its weights.
    """
    placement = (n_gpu_layers, n_cpu_moe, kv_type)
    return tuple(
        run
        for run in runs
        if (run.n_gpu_layers, run.n_cpu_moe, run.kv_type) == placement
        and not run.draft_parameters
        and run.is_of(*network)
    )


def find_draft_speedup(
    runs: Iterable[ObservedRun],
    network: tuple[str, int, int],
    n_gpu_layers: int,
    n_cpu_moe: int,
    draft_parameters: int,
) -> float | None:
    """Return how many times as fast a draft model made a network in that placement; None if not measured."""
    return next(
        (
            run.draft_speedup
            for run in runs
            if run.draft_speedup
            and (run.n_gpu_layers, run.n_cpu_moe) == (n_gpu_layers, n_cpu_moe)
            and abs(run.draft_parameters - draft_parameters) <= _TOLERANCE * draft_parameters
            and run.is_of(*network)
        ),
        None,
    )


def _mixed(earlier: float, later: float) -> float:
    """Return the speedup of several replies, of which the later ones count more; 0 is none."""
    if not (earlier and later):
        return earlier or later
    return round(_EARLIER_SHARE * earlier + (1 - _EARLIER_SHARE) * later, 3)
