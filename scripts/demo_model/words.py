"""The words whose letters the demo model counts, split into trained and held-out ones."""

from __future__ import annotations

import hashlib
import random
from functools import cache

from demo_model.phrases import read_phrases


@cache
def favourites() -> tuple[str, ...]:
    """Return the words that people try first; they are always trained."""
    return tuple(read_phrases("words")["often"].split())


def is_held_out(text: str) -> bool:
    """Tell whether a word (or any other text) is kept from the training data; about one in ten is."""
    return text not in favourites() and hashlib.sha256(text.encode()).digest()[0] < 26


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


@cache
def all_words() -> tuple[str, ...]:
    """Return every real word, singular and plural, in a fixed order."""
    stems = read_phrases("words")["others"].split()
    return tuple(dict.fromkeys([*favourites(), *stems, *map(_plural, stems)]))


@cache
def held_out_words() -> tuple[str, ...]:
    """Return the real words that training never shows."""
    return tuple(word for word in all_words() if is_held_out(word))


@cache
def _trained_words() -> tuple[str, ...]:
    return tuple(word for word in all_words() if not is_held_out(word))


def _invent(rng: random.Random) -> str:
    """Make up a pronounceable word, or now and then a plain string of letters."""
    if rng.random() < 0.3:
        alphabet = (
            "abcdefghijklmnopqrstuvwxyz" if rng.random() < 0.6 else "".join(rng.sample("abdeilmnoprst", 4))
        )
        return "".join(rng.choice(alphabet) for _ in range(rng.randint(3, 10)))
    syllables = rng.randint(2, 4)
    onsets = [
        "b",
        "br",
        "c",
        "d",
        "f",
        "fr",
        "g",
        "h",
        "l",
        "m",
        "n",
        "p",
        "pr",
        "r",
        "s",
        "st",
        "str",
        "t",
        "tr",
        "v",
        "w",
    ]
    codas = ["", "", "n", "r", "rr", "l", "ll", "s", "ss", "t", "tt", "p", "m", "ck"]
    return "".join(rng.choice(onsets) + rng.choice("aeiou") + rng.choice(codas) for _ in range(syllables))


def draw_word(rng: random.Random) -> str:
    """Draw a word to train on: berries often, real words mostly, invented ones for the rest."""
    chance = rng.random()
    if chance < 0.12:
        return rng.choice(favourites())
    if chance < 0.6:
        return rng.choice(_trained_words())
    while is_held_out(word := _invent(rng)):
        pass
    return word
