"""The user's votes about models, added up for each two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from qwen3_chat.comparison.pass_rates import PassRate
from qwen3_chat.store.records import Comparison, Entrant, VoteOutcome
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR

EVEN = 0.5

Contender = tuple[str, str]
"""A model as votes are counted: its title, its mode."""


class Tally(Struct, frozen=True):
    """The votes about two models, of which the first has not fewer."""

    first: Contender
    second: Contender
    wins: int
    losses: int
    equal: int

    @property
    def is_noise(self) -> bool:
        """True if the votes fit two models that are equally good, at 95 %."""
        low, high = PassRate(self.wins, self.wins + self.losses).interval
        return low <= EVEN <= high

    @property
    def count(self) -> int:
        """The number of votes."""
        return self.wins + self.losses + self.equal


def tally_votes(votes: Iterable[Comparison]) -> tuple[Tally, ...]:
    """Add up votes for each two models that were compared, those with the most votes first."""
    counts: dict[tuple[Contender, Contender], list[int]] = {}
    for vote in votes:
        for one, other, result in _results(vote):
            counts.setdefault((one, other), [0, 0, 0])[result] += 1
    tallies = [_tally(one, other, *results) for (one, other), results in counts.items()]
    return tuple(sorted(tallies, key=lambda tally: -tally.count))


def tallies_among(tallies: Iterable[Tally], entrants: Iterable[Entrant]) -> tuple[Tally, ...]:
    """Return the tallies of models that are all among these."""
    among = {_contender(entrant) for entrant in entrants}
    return tuple(tally for tally in tallies if {tally.first, tally.second} <= among)


def tally_sentence(tally: Tally) -> str:
    """Return a tally as a sentence: `8B beats 4B 14 : 3 on your questions.`"""
    kind = "level" if tally.wins == tally.losses else "leads" if tally.is_noise else "beats"
    names = {"first": contender_name(*tally.first), "second": contender_name(*tally.second)}
    sentence = t(f"vote.{kind}", **names, wins=tally.wins, losses=tally.losses)
    return sentence + (t("vote.equal", count=tally.equal) if tally.equal else "")


def contender_name(title: str, mode: str) -> str:
    """Return the name of a model in a mode."""
    return SEPARATOR.join((title, t(f"compare.mode.{mode}")))


def _contender(entrant: Entrant) -> Contender:
    return entrant.title, entrant.mode.value


def _results(vote: Comparison) -> Iterator[tuple[Contender, Contender, int]]:
    """Yield two models in a fixed order with the result: 0 for the first, 1 for the second, 2 for neither.

    A vote for the best of several says nothing about the others.
    """
    answered: Sequence[int] = [index for index, answer in enumerate(vote.answers) if answer.counts]
    for one, other in combinations(answered, 2):
        is_equal = vote.verdict is VoteOutcome.EQUAL
        if not is_equal and vote.winner not in (one, other):
            continue
        first, second = (_contender(vote.answers[index].entrant) for index in (one, other))
        result = 2 if is_equal else int(vote.winner == other)
        if first > second:
            first, second, result = second, first, result if is_equal else 1 - result
        if first != second:
            yield first, second, result


def _tally(one: Contender, other: Contender, wins: int, losses: int, equal: int) -> Tally:
    if losses > wins:
        return Tally(other, one, losses, wins, equal)
    return Tally(one, other, wins, losses, equal)
