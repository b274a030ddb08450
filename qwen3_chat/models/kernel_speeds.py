"""The speed at which a device does what a network consists of, as a build of llama.cpp reaches it there.

A multiplication by a matrix takes as long as reading the matrix or as computing with it, whichever is longer,
and that depends on the type of its numbers. So each is measured by itself, and the time of a token added up.
"""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct

Curve = tuple[tuple[float, float], ...]
"""Bits per weight with the seconds that a weight of so many takes, in ascending order of bits."""


WIDE, NARROW = 4096, 1024
"""The numbers in a row of the matrices that are measured; those of Qwen3 have from 768 to 25,600."""
LONG_CELLS, SHORT_CELLS = 2048, 512
"""The tokens in the cache to which attention is measured."""


class KernelSpeeds(Struct, frozen=True):
    """The seconds that a device takes for each part of a token.

    `weights` are read for one token at a time, from a matrix with rows of `WIDE` numbers, `narrow_weights`
    from one with `NARROW` ones: each row takes a while to begin. `prompt_weights` are read for a chunk of
    tokens, of which each counts.
    Experts take `expert_factor` and `prompt_expert_factor` times as long as other weights. Attention reads
    each number of a cached key or value in `cache_read_s`, and multiplies it once for every head that shares
    it, in `attention_s` each, both in a cache of `LONG_CELLS` tokens; the `short_` ones hold for
    `SHORT_CELLS`, where each row of values is shorter, too. In a cache of q8_0 both together take
    `quantised_attention_s` a step. Each operation takes `operation_s` besides.
    """

    weights: Curve
    narrow_weights: Curve
    prompt_weights: Curve
    expert_factor: float
    prompt_expert_factor: float
    cache_read_s: float
    attention_s: float
    short_cache_read_s: float
    short_attention_s: float
    quantised_attention_s: float
    prompt_attention_s: float
    operation_s: float

    @property
    def bytes_per_s(self) -> float:
        """The bytes of weights that are read in a second, by the type that is read fastest."""
        return max(bits / 8 / seconds for bits, seconds in self.weights)

    def weight_s(self, bits: float, inverse_width: float) -> float:
        """Return the seconds of a weight of so many bits, by the mean of 1 / the width of its matrix."""
        wide_s, narrow_s = seconds_at(self.weights, bits), seconds_at(self.narrow_weights, bits)
        share = (inverse_width - 1 / WIDE) / (1 / NARROW - 1 / WIDE)
        return max(MIN_WIDE_SHARE * wide_s, wide_s + share * (narrow_s - wide_s))

    def attention_at(self, n_cells: int) -> tuple[float, float]:
        """Return the seconds for reading a number of a cache with so many tokens, and for each use of it."""
        share = (1 / max(1, n_cells) - 1 / LONG_CELLS) / (1 / SHORT_CELLS - 1 / LONG_CELLS)

        def at(long_s: float, short_s: float) -> float:
            return max(MIN_WIDE_SHARE * long_s, long_s + share * max(0.0, short_s - long_s))

        return at(self.cache_read_s, self.short_cache_read_s), at(self.attention_s, self.short_attention_s)

    @property
    def is_plausible(self) -> bool:
        """True if every figure is one that a device can have."""
        figures = (
            self.cache_read_s,
            self.attention_s,
            self.short_cache_read_s,
            self.short_attention_s,
            self.quantised_attention_s,
            self.prompt_attention_s,
            self.operation_s,
            *(seconds for curve in self._curves for _, seconds in curve),
        )
        bits = [[bits for bits, _ in curve] for curve in self._curves]
        return (
            all(row and row == sorted(set(row)) and 1 <= row[0] <= row[-1] <= MAX_WEIGHT_BITS for row in bits)
            and all(MIN_S <= seconds <= MAX_S for seconds in figures)
            and all(0.2 <= factor <= MAX_FACTOR for factor in (self.expert_factor, self.prompt_expert_factor))
        )

    @property
    def is_consistent(self) -> bool:
        """True if the figures can all be right: reading takes nearly as long per byte, whatever the type is.

        Computing slows some types down, and short rows, but not as far as other programs do.
        """
        rates = [bits / seconds for bits, seconds in self.weights]
        ratios = [narrow_s / seconds_at(self.weights, bits) for bits, narrow_s in self.narrow_weights]
        return (
            max(rates) <= MAX_RATE_RATIO * min(rates)
            and min(ratios) >= MIN_NARROW_RATIO
            and max(ratios) <= MAX_NARROW_RATIO
        )

    @property
    def _curves(self) -> tuple[Curve, ...]:
        return self.weights, self.narrow_weights, self.prompt_weights


MAX_WEIGHT_BITS = 32
MIN_S, MAX_S = 1e-16, 1e-2
MAX_FACTOR = 50.0
MIN_WIDE_SHARE = 0.85
"""The least share of the time in rows of `WIDE` numbers that wider ones take; the same for longer caches."""
MAX_RATE_RATIO, MIN_NARROW_RATIO, MAX_NARROW_RATIO = 6.0, 0.4, 3.5
"""The limits between types of numbers, and between short rows and long ones."""


def seconds_at(curve: Curve, bits: float) -> float:
    """Return the seconds of a weight of so many bits on average.

    A mixture of two types lies on the line between them. Fewer bits than the fewest take no less time: there
    the computing counts. More than the most take longer by as much as there is to read.
    """
    if bits <= curve[0][0]:
        return curve[0][1]
    if bits >= curve[-1][0]:
        return curve[-1][1] * bits / curve[-1][0]
    above = bisect_left(curve, (bits, 0.0))
    (low, low_s), (high, high_s) = curve[above - 1], curve[above]
    return low_s + (high_s - low_s) * (bits - low) / (high - low)
