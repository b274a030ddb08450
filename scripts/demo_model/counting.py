"""The skills about letters: count one, count all, spell backwards."""

from __future__ import annotations

import random

from demo_model.exchange import Exchange, Language, Slip, ask, pick
from demo_model.phrases import read_phrases
from demo_model.words import draw_word

_THINK = {
    Language.EN: 'I count the letter {l} in "{w}": {s}. That makes {n}.',
    Language.ZH: "数一数“{w}”里的字母{l}：{s}。一共{n}个。",
}
_REVIEW = {
    Language.EN: 'I count the letter {l} in "{w}" again: {s}. That makes {n}.',
    Language.ZH: "再数一遍“{w}”里的字母{l}：{s}。一共{n}个。",
}


def spell_with_count(word: str, letter: str) -> str:
    """Spell a word and number each place of the letter: "s t r(1) a w b e r(2) r(3) y"."""
    seen = 0
    spelled = []
    for char in word.lower():
        seen += char == letter
        spelled.append(f"{char}({seen})" if char == letter else char)
    return " ".join(spelled)


def _claim(language: Language, letter: str, word: str, count: int) -> str:
    if language is Language.ZH:
        return f"“{word}”里有 **{count}** 个字母 {letter}" if count else f"“{word}”里没有字母 {letter}"
    if count == 0:
        return f'there are no {letter}\'s in "{word}"'
    return (
        f'there is **1** {letter} in "{word}"'
        if count == 1
        else f'there are **{count}** {letter}\'s in "{word}"'
    )


def state(language: Language, claim: str) -> str:
    """Turn a clause into a sentence."""
    return claim + "。" if language is Language.ZH else claim[0].upper() + claim[1:] + "."


def draw_letter(rng: random.Random, word: str) -> str:
    """Draw a letter to count: r often, mostly one of the word's."""
    chance = rng.random()
    if chance < (0.8 if "berr" in word else 0.25):
        return "r"
    return rng.choice(word.lower()) if chance < 0.85 else rng.choice("abcdefghilmnoprstuwy")


def count_in(rng: random.Random, language: Language, question: str, word: str, letter: str) -> Exchange:
    """Answer a question about one letter of one word."""
    count = word.lower().count(letter)
    values = {"l": letter, "w": word, "s": spell_with_count(word, letter), "n": count}
    wrong = max(0, count + rng.choice((-1, 1, 1, 2))) if count else 1
    claim = _claim(language, letter, word, count)
    return Exchange(
        question=question,
        thinking=_THINK[language].format(**values),
        answer=state(language, claim),
        review=_REVIEW[language].format(**values),
        claim=claim,
        slip=Slip(state(language, _claim(language, letter, word, wrong))) if wrong != count else None,
        letter=letter,
    )


def count_letters(rng: random.Random, language: Language) -> Exchange:
    """Ask how often a letter is in a word."""
    word = draw_word(rng)
    letter = draw_letter(rng, word)
    shown = letter.upper() if rng.random() < 0.06 else letter
    chance = rng.random()
    written = word.upper() if chance < 0.02 else word.capitalize() if chance < 0.08 else word
    question = ask(rng, language, read_phrases("counting")[language]["count"], l=shown, w=written)
    return count_in(rng, language, question, word, letter)


def count_next(rng: random.Random, language: Language, previous: Exchange) -> Exchange:
    """Ask about another word, with or without naming the letter again."""
    word = draw_word(rng)
    same = rng.random() < 0.7
    letter = previous.letter if same else draw_letter(rng, word)
    kind = "count_same_letter" if same and rng.random() < 0.35 else "count_next"
    question = pick(rng, read_phrases("counting")[language][kind], l=letter, w=word)
    return count_in(rng, language, question, word, letter)


def count_all_letters(rng: random.Random, language: Language) -> Exchange:
    """Ask how many letters a word has."""
    word = draw_word(rng)
    spelled = " ".join(f"{char}({index})" for index, char in enumerate(word, 1))
    length = len(word)
    if language is Language.EN:
        claim = f'"{word}" has **{length}** letters'
        thinking = f'I number the letters of "{word}": {spelled}. That makes {length}.'
        review = f'I number the letters of "{word}" again: {spelled}. That makes {length}.'
        slip = f'"{word}" has **{length + rng.choice((-1, 1))}** letters.'
    else:
        claim = f"“{word}”一共有 **{length}** 个字母"
        thinking = f"给“{word}”的字母编号：{spelled}。一共{length}个。"
        review = f"再给“{word}”的字母编号：{spelled}。一共{length}个。"
        slip = f"“{word}”一共有 **{length + rng.choice((-1, 1))}** 个字母。"
    question = ask(rng, language, read_phrases("counting")[language]["length"], w=word)
    return Exchange(question, thinking, state(language, claim), review, claim, Slip(slip))


def spell_backwards(rng: random.Random, language: Language) -> Exchange:
    """Ask for a word from its last letter to its first."""
    return spell_backwards_of(rng, language, draw_word(rng)[:9])


def spell_backwards_of(rng: random.Random, language: Language, word: str) -> Exchange:
    """Ask for a given word from its last letter to its first."""
    forwards, backwards = " ".join(word), " ".join(reversed(word))
    if language is Language.EN:
        claim = f'"{word}" backwards is **{word[::-1]}**'
        thinking = f"The letters are: {forwards}. From the end: {backwards}."
        review = f'The letters of "{word}" are: {forwards}. From the end: {backwards}.'
    else:
        claim = f"“{word}”倒过来是 **{word[::-1]}**"
        thinking = f"字母依次是：{forwards}。从后往前：{backwards}。"
        review = f"“{word}”的字母依次是：{forwards}。从后往前：{backwards}。"
    return Exchange(
        ask(rng, language, read_phrases("counting")[language]["backwards"], w=word),
        thinking,
        state(language, claim),
        review,
        claim,
    )
