from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.worker.prompt_ids import count_messages, tokenise
from qwen3_chat.engine.worker.render import ChatTemplate
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.gguf import read_file
from qwen3_chat.request import ChatRequest
from tests.engine.requests import ask, said

TEXTS = ("The answer is 3.", "你好，world", "a\n\nb\n", "  indented", "3 < 5, 🎉", "trailing   ")


@pytest.fixture(scope="module")
def template(demo_gguf: Path, demo_vocab: Vocab) -> ChatTemplate:
    return ChatTemplate(read_file(demo_gguf).text("tokenizer.chat_template"), demo_vocab.specials)


def letter_by_letter(text: str, vocab: Vocab) -> tuple[int, ...]:
    """A way to sample a text that tokenising never gives."""
    return tuple(token for letter in text for token in vocab.encode(letter))


def replied(content: str, *ids: int, reasoning: str = "") -> ChatMessage:
    return ChatMessage(Role.ASSISTANT, content, reasoning, token_ids=ids)


def prompt_of(template: ChatTemplate, vocab: Vocab, request: ChatRequest) -> list[int]:
    ids = tokenise(template.render_request(request), vocab, request)
    assert count_messages(template, vocab, request).total == len(ids)
    return ids


def holds(ids: list[int], part: tuple[int, ...]) -> bool:
    return any(tuple(ids[i : i + len(part)]) == part for i in range(len(ids)))


@pytest.mark.parametrize("text", TEXTS)
def test_an_answer_keeps_the_ids_it_was_sampled_as(
    template: ChatTemplate, demo_vocab: Vocab, text: str
) -> None:
    end = demo_vocab.specials["<|im_end|>"]
    ids = letter_by_letter(text, demo_vocab)
    plain = ask(said("Hi"), replied(text), said("Go on"))
    sampled = ask(said("Hi"), replied(text, *ids, end), said("Go on"))
    prompt = prompt_of(template, demo_vocab, sampled)
    assert holds(prompt, ids)
    assert b"".join(map(demo_vocab.piece, prompt)) == b"".join(
        map(demo_vocab.piece, prompt_of(template, demo_vocab, plain))
    )


def test_the_answer_is_found_behind_the_thinking(template: ChatTemplate, demo_vocab: Vocab) -> None:
    special = demo_vocab.specials
    answer = letter_by_letter("It is 3.", demo_vocab)
    ids = (
        special["<think>"],
        *demo_vocab.encode("\nHm\n"),
        special["</think>"],
        *demo_vocab.encode("\n\n"),
        *answer,
        special["<|im_end|>"],
    )
    request = ask(said("Hi"), replied("It is 3.", *ids, reasoning="Hm"), said("Go on"))
    prompt = prompt_of(template, demo_vocab, replace(request, mode=ThinkingMode.THINK))
    assert holds(prompt, answer)
    assert special["<think>"] not in prompt


def test_a_reply_of_the_turn_that_goes_on_is_there_as_it_was_sampled(
    template: ChatTemplate, demo_vocab: Vocab
) -> None:
    special = demo_vocab.specials
    ids = (
        special["<think>"],
        *letter_by_letter("\nHm\n", demo_vocab),
        special["</think>"],
        *letter_by_letter("\n\nIt is 3.", demo_vocab),
    )
    prompt = prompt_of(template, demo_vocab, ask(said("Hi"), replied("It is 3.", *ids, reasoning="Hm")))
    assert holds(prompt, ids)


def test_a_text_that_was_changed_is_tokenised(template: ChatTemplate, demo_vocab: Vocab) -> None:
    ids = letter_by_letter("It is 3.", demo_vocab)
    changed = ask(said("Hi"), replied("It is 4.", *ids), said("Go on"))
    plain = ask(said("Hi"), replied("It is 4."), said("Go on"))
    assert prompt_of(template, demo_vocab, changed) == prompt_of(template, demo_vocab, plain)


def test_a_special_token_that_was_sampled_as_text_does_not_become_one_again(
    template: ChatTemplate, demo_vocab: Vocab
) -> None:
    special = demo_vocab.specials
    ids = (*demo_vocab.encode("a "), special["</think>"], *demo_vocab.encode(" b"))
    request = ask(said("Hi"), replied("a </think> b", *ids), said("Go on"))
    harmless = ask(said("Hi"), replied("a b"), said("Go on"))
    marks = set(special.values())
    assert [i for i in prompt_of(template, demo_vocab, request) if i in marks] == [
        i for i in prompt_of(template, demo_vocab, harmless) if i in marks
    ]


def test_equal_answers_keep_ids_of_their_own(template: ChatTemplate, demo_vocab: Vocab) -> None:
    text = "The answer is 3."
    whole, letters = tuple(demo_vocab.encode(text)), letter_by_letter(text, demo_vocab)
    assert whole != letters
    twice = ask(said("Hi"), replied(text, *letters), said("Hi"), replied(text, *whole), said("Hi"))
    prompt = prompt_of(template, demo_vocab, twice)
    assert holds(prompt, letters)
    assert holds(prompt, whole)
