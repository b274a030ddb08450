from __future__ import annotations

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.comparison.votes import Tally, tallies_among, tally_sentence, tally_votes
from qwen3_chat.store.records import ComparedAnswer, Comparison, Entrant, VoteOutcome
from qwen3_chat.texts import Language, set_language

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK
EIGHT, FOUR, ONE = (Entrant(name, NO_THINK, name) for name in ("8B", "4B", "1B"))


def vote(winner: Entrant | None, *others: Entrant, absent: tuple[Entrant, ...] = ()) -> Comparison:
    """A vote for the winner, or for none, among all of them."""
    among = (*others, *([winner] if winner else []))
    answers = [ComparedAnswer(entrant, counts=True) for entrant in among]
    answers += [ComparedAnswer(entrant) for entrant in absent]
    verdict = VoteOutcome.BEST if winner else VoteOutcome.EQUAL
    return Comparison(1, 1, 1, 1, tuple(answers), verdict, len(others) if winner else None)


def named(tally: Tally) -> tuple[str, str, int, int, int]:
    return tally.first[0], tally.second[0], tally.wins, tally.losses, tally.equal


def test_votes_are_added_up_for_each_two_models_the_better_one_first() -> None:
    votes = [vote(FOUR, EIGHT)] * 3 + [vote(EIGHT, FOUR)] * 14 + [vote(None, EIGHT, FOUR)]
    assert [named(tally) for tally in tally_votes(votes)] == [("8B", "4B", 14, 3, 1)]


def test_a_vote_for_the_best_of_three_says_nothing_about_the_other_two() -> None:
    tallies = tally_votes([vote(EIGHT, FOUR, ONE)])
    assert sorted(named(tally) for tally in tallies) == [("8B", "1B", 1, 0, 0), ("8B", "4B", 1, 0, 0)]


def test_a_model_that_did_not_answer_loses_nothing() -> None:
    assert [named(tally) for tally in tally_votes([vote(EIGHT, FOUR, absent=(ONE,))])] == [
        ("8B", "4B", 1, 0, 0)
    ]


def test_the_modes_of_a_model_are_counted_apart() -> None:
    thinking = Entrant("8B", THINK, "8B")
    (tally,) = tally_votes([vote(thinking, EIGHT)])
    assert (tally.first, tally.second) == (("8B", "think"), ("8B", "no_think"))


def test_only_tallies_of_the_models_at_hand_are_told() -> None:
    tallies = tally_votes([vote(EIGHT, FOUR), vote(EIGHT, ONE)])
    assert [named(tally)[:2] for tally in tallies_among(tallies, (EIGHT, ONE))] == [("8B", "1B")]


@pytest.mark.parametrize(
    ("wins", "losses", "equal", "sentence"),
    [
        (14, 3, 0, "“8B · no thinking” beats “4B · no thinking” 14 : 3 on your questions."),
        (3, 1, 0, "“8B · no thinking” leads “4B · no thinking” 3 : 1 on your questions; this may be chance."),
        (
            2,
            2,
            5,
            "“8B · no thinking” and “4B · no thinking” are level at 2 : 2 on your questions. "
            "No difference: 5.",
        ),
    ],
)
def test_a_difference_that_may_be_chance_is_called_so(
    wins: int, losses: int, equal: int, sentence: str
) -> None:
    first, second = ("8B", "no_think"), ("4B", "no_think")
    assert tally_sentence(Tally(first, second, wins, losses, equal)) == sentence


def test_the_sentence_is_there_in_chinese() -> None:
    set_language(Language.ZH)
    try:
        sentence = tally_sentence(Tally(("8B", "think"), ("4B", "think"), 14, 3, 0))
    finally:
        set_language(Language.EN)
    assert sentence == "在你的问题上，“8B · 思考”以 14 : 3 胜过“4B · 思考”。"
