from __future__ import annotations

from pathlib import Path

import pytest

from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens, tokenise
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from tests.engine.requests import chat_request, user_message

TEXTS = ("The answer is 3.", "你好，world", "a\n\nb\n", "  indented", "3 < 5, 🎉", "trailing   ")


@pytest.fixture(scope="module")
def template(demo_gguf: Path, demo_vocab: Vocab) -> ChatTemplate:
    return ChatTemplate(
        read_file(demo_gguf).text("tokenizer.chat_template"), demo_vocab.specials, InPlaceRenderer()
    )


def letter_by_letter(text: str, vocab: Vocab) -> tuple[int, ...]:
    """Return ids that a text may be sampled as, but that tokenising never gives."""
    return tuple(token for letter in text for token in vocab.encode(letter))


def replied(content: str, *ids: int, reasoning: str = "") -> ChatMessage:
    return ChatMessage(Role.ASSISTANT, content, reasoning, token_ids=ids)


def prompt_of(template: ChatTemplate, vocab: Vocab, request: ChatRequest) -> list[int]:
    ids = tokenise(template.render_request(request), vocab, request)
    assert count_prompt_tokens(template, vocab, request).total == len(ids)
    return ids


def holds(ids: list[int], part: tuple[int, ...]) -> bool:
    return any(tuple(ids[i : i + len(part)]) == part for i in range(len(ids)))


@pytest.mark.parametrize("text", TEXTS)
def test_an_answer_keeps_the_ids_it_was_sampled_as(
    template: ChatTemplate, demo_vocab: Vocab, text: str
) -> None:
    end = demo_vocab.specials["<|im_end|>"]
    ids = letter_by_letter(text, demo_vocab)
    plain = chat_request(user_message("Hi"), replied(text), user_message("Go on"))
    sampled = chat_request(user_message("Hi"), replied(text, *ids, end), user_message("Go on"))
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
    request = chat_request(
        user_message("Hi"), replied("It is 3.", *ids, reasoning="Hm"), user_message("Go on")
    )
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
    prompt = prompt_of(
        template, demo_vocab, chat_request(user_message("Hi"), replied("It is 3.", *ids, reasoning="Hm"))
    )
    assert holds(prompt, ids)


def test_a_text_that_was_changed_is_tokenised(template: ChatTemplate, demo_vocab: Vocab) -> None:
    ids = letter_by_letter("It is 3.", demo_vocab)
    changed = chat_request(user_message("Hi"), replied("It is 4.", *ids), user_message("Go on"))
    plain = chat_request(user_message("Hi"), replied("It is 4."), user_message("Go on"))
    assert prompt_of(template, demo_vocab, changed) == prompt_of(template, demo_vocab, plain)


def test_a_special_token_that_was_sampled_as_text_does_not_become_one_again(
    template: ChatTemplate, demo_vocab: Vocab
) -> None:
    special = demo_vocab.specials
    ids = (*demo_vocab.encode("a "), special["</think>"], *demo_vocab.encode(" b"))
    request = chat_request(user_message("Hi"), replied("a </think> b", *ids), user_message("Go on"))
    harmless = chat_request(user_message("Hi"), replied("a b"), user_message("Go on"))
    marks = set(special.values())
    assert [i for i in prompt_of(template, demo_vocab, request) if i in marks] == [
        i for i in prompt_of(template, demo_vocab, harmless) if i in marks
    ]


def test_equal_answers_keep_ids_of_their_own(template: ChatTemplate, demo_vocab: Vocab) -> None:
    text = "The answer is 3."
    whole, letters = tuple(demo_vocab.encode(text)), letter_by_letter(text, demo_vocab)
    assert whole != letters
    twice = chat_request(
        user_message("Hi"),
        replied(text, *letters),
        user_message("Hi"),
        replied(text, *whole),
        user_message("Hi"),
    )
    prompt = prompt_of(template, demo_vocab, twice)
    assert holds(prompt, letters)
    assert holds(prompt, whole)
