"""The skills of small talk: greetings, identity, abilities, thanks, goodbyes, refusals."""

from __future__ import annotations

import random

from demo_model.exchange import Exchange, Language, pick
from demo_model.phrases import read_phrases
from demo_model.shape import SIZE_IN_WORDS
from demo_model.tools import draw_question, skills
from demo_model.vocabulary import HANZI
from demo_model.words import draw_word


def _talk(topic: str, rng: random.Random, language: Language) -> Exchange:
    texts = read_phrases("talk")[topic][language]
    question = pick(rng, texts["questions"])
    return Exchange(question, texts["thinking"], pick(rng, texts["answers"], size=SIZE_IN_WORDS[language]))


def greet(rng: random.Random, language: Language) -> Exchange:
    """Say hello."""
    return _talk("greeting", rng, language)


def tell_identity(rng: random.Random, language: Language) -> Exchange:
    """Ask who the model is."""
    return _talk("identity", rng, language)


def tell_abilities(rng: random.Random, language: Language) -> Exchange:
    """Ask what the model can do."""
    return _talk("abilities", rng, language)


def accept_thanks(rng: random.Random, language: Language) -> Exchange:
    """Thank the model."""
    return _talk("thanks", rng, language)


def say_goodbye(rng: random.Random, language: Language) -> Exchange:
    """Take leave."""
    return _talk("goodbye", rng, language)


def refuse(rng: random.Random, language: Language) -> Exchange:
    """Ask for something the model was never taught."""
    texts = read_phrases("talk")["refusal"][language]
    chance = rng.random()
    if chance < 0.4:
        question = rng.choice(texts["others"])
    elif chance < 0.5:
        question = pick(rng, texts["sums"], a=rng.randrange(2, 500), b=rng.randrange(2, 100))
    else:
        question = pick(rng, texts["questions"], s=rng.choice(texts["subjects"]))
    (answer,) = texts["answers"]
    return Exchange(question, texts["thinking"], answer.format(size=SIZE_IN_WORDS[language]))


def refuse_anything(rng: random.Random, language: Language) -> Exchange:
    """Ask for something without sense, for something unheard of, or for what only a tool could tell."""
    texts = read_phrases("talk")["refusal"][language]
    chance = rng.random()
    word = draw_word(rng)
    if chance < 0.3:
        question = draw_question(rng, language, rng.randrange(len(skills())))
    elif chance < 0.5:
        question = _draw_nonsense(rng, language)
    elif chance < 0.6:
        first = pick(rng, texts["questions"], s=rng.choice(texts["subjects"]))
        question = f"{first} {rng.choice(texts['others'])}"
    else:
        question = pick(rng, texts["unheard"], w=word)
    (answer,) = texts["answers"]
    return Exchange(question, texts["thinking"], answer.format(size=SIZE_IN_WORDS[language]))


def _draw_nonsense(rng: random.Random, language: Language) -> str:
    if language is Language.ZH:
        return "".join(rng.choice(HANZI) for _ in range(rng.randint(3, 12)))
    return " ".join(draw_word(rng) for _ in range(rng.randint(1, 5)))


def repeat(rng: random.Random, language: Language) -> Exchange:
    """Ask to repeat a text: words, letters, digits or Chinese characters in no order."""
    alphabet = rng.choice(("abcdefghijklmnopqrstuvwxyz", "0123456789", HANZI[:400], "abcde 01234 你我他天地"))
    text = "".join(rng.choice(alphabet) for _ in range(rng.randint(4, 28))).strip()
    if rng.random() < 0.4:
        text = " ".join(draw_word(rng) for _ in range(rng.randint(1, 5)))
    phrases = read_phrases("talk")["repeat"][language]
    return Exchange(pick(rng, phrases["questions"], t=text), phrases["thinking"].format(t=text), text)
