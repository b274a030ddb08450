from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from demo_model.exchange import Language
from demo_model.phrases import can_become, choose_words, read_phrases
from demo_model.words import held_out_words, is_held_out

EXAMPLES = {"w": "therapists", "l": "r", "a": "12.5", "b": "3.75", "c": "France"}


def trained_phrases(language: Language) -> Iterator[str]:
    """Give every phrase for counting, arithmetic and facts, with what may stand around it."""
    wrapping = read_phrases("wrapping")[language]
    for file in ("counting", "arithmetic", "facts"):
        for name, phrases in read_phrases(file)[language].items():
            for phrase in phrases:
                for question in phrase[1:] if name == "others" else [phrase]:
                    yield wrapping.replace("{q}", question).replace("||", "|")


@pytest.mark.parametrize("language", Language)
def test_training_cannot_ask_as_the_exam_does(language: Language) -> None:
    trained = [phrase.format(**EXAMPLES) for phrase in trained_phrases(language)]
    for phrases in read_phrases("exam")[language].values():
        for phrase in phrases:
            asked = phrase.format(**EXAMPLES)
            assert not [known for known in trained if can_become(known, asked)], asked


@pytest.mark.parametrize("language", Language)
def test_what_a_phrase_becomes_is_recognised(language: Language) -> None:
    rng = random.Random(0)
    for phrase in trained_phrases(language):
        filled = phrase.format(**EXAMPLES)
        for _ in range(3):
            assert can_become(filled, choose_words(rng, filled))


def test_choices_nest() -> None:
    become = {choose_words(random.Random(seed), "a[b[1|2]|c]d") for seed in range(50)}
    assert become == {"ab1d", "ab2d", "acd"}
    assert not can_become("a[b[1|2]|c]d", "ab3d")


def test_held_out_words_are_a_tenth() -> None:
    assert len(held_out_words()) > 100
    assert all(map(is_held_out, held_out_words()))
