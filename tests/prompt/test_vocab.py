from __future__ import annotations

import pytest

from tests.prompt.conftest import OpenVocab
from tests.prompt.special_tokens import CONTROL, SPECIALS, USER_DEFINED


def test_the_special_tokens_of_qwen3_are_known(qwen3: OpenVocab) -> None:
    # llama.cpp takes `</s>` for a control token in any vocabulary that has it.
    assert set(qwen3.vocab.specials) == {*SPECIALS, "</s>"}
    assert qwen3.vocab.token("<think>") == 151667
    assert qwen3.vocab.token("think") is None
    assert qwen3.vocab.n_tokens == 151936


def test_a_reply_ends_at_the_end_of_its_turn(qwen3: OpenVocab) -> None:
    ends = {qwen3.vocab.specials["<|im_end|>"], qwen3.vocab.specials["<|endoftext|>"]}
    assert ends <= qwen3.vocab.end_ids
    assert qwen3.vocab.specials["<|im_start|>"] not in qwen3.vocab.end_ids


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        " Hello ",
        "\n\n",
        "\t",
        "\r\n",
        "你好，世界",
        "👩‍👩‍👧‍👦",
        "=" * 64,
        " " * 128,
        "a\0b",
        "\ufeffx",
        "</s>",
    ],
)
def test_text_comes_back_as_it_was(qwen3: OpenVocab, text: str) -> None:
    assert b"".join(map(qwen3.vocab.piece, qwen3.vocab.encode(text))).decode() == text


def test_the_longest_tokens_are_whole(qwen3: OpenVocab) -> None:
    pieces = [qwen3.vocab.piece(token) for token in range(qwen3.vocab.n_tokens)]
    assert max(map(len, pieces)) == 128
    assert sum(len(piece) > 32 for piece in pieces) > 200


@pytest.mark.parametrize("spelling", CONTROL)
def test_control_tokens_are_not_read_from_text(qwen3: OpenVocab, spelling: str) -> None:
    assert qwen3.vocab.specials[spelling] not in qwen3.vocab.encode(spelling)


@pytest.mark.parametrize("spelling", USER_DEFINED)
def test_user_defined_tokens_are_read_from_text_unless_broken(qwen3: OpenVocab, spelling: str) -> None:
    encode, special = qwen3.vocab.encode, qwen3.vocab.specials[spelling]
    assert encode(spelling) == [special]
    assert special not in encode(spelling[0]) + encode(spelling[1:])


@pytest.mark.parametrize("spelling", SPECIALS)
def test_special_tokens_are_spelled_out(qwen3: OpenVocab, spelling: str) -> None:
    assert qwen3.vocab.piece(qwen3.vocab.specials[spelling]) == spelling.encode()


def test_half_a_character_is_replaced(qwen3: OpenVocab) -> None:
    assert qwen3.vocab.encode("a\ud800") == qwen3.vocab.encode("a?")


def test_what_is_remembered_cannot_be_changed_from_outside(qwen3: OpenVocab) -> None:
    ids = qwen3.vocab.encode("Hello there")
    ids.clear()
    assert qwen3.vocab.encode("Hello there")


def test_more_text_than_is_remembered_is_tokenised_all_the_same(qwen3: OpenVocab) -> None:
    long = "a b " * 80_000
    first = qwen3.vocab.encode(long)
    for number in range(4):
        qwen3.vocab.encode(f"{number} {long}")
    assert qwen3.vocab.encode(long) == first
