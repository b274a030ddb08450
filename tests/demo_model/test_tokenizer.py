from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

from demo_model.batches import MIXED_UNTIL, SINGLE_TURNS_UNTIL, draw_rows
from demo_model.tokenizer import decode, encode
from demo_model.vocabulary import HANZI, PUNCTUATION, SPECIAL_TOKENS, build_vocabulary
from qwen3_chat.engine.worker.llama_cpp_library import LlamaCppVocab
from qwen3_chat.engine.worker.vocab import Vocab

PIECES = (
    *(
        "How many r's in strawberries?",
        "你好，世界！",
        "「草莓」里有几个字母r？",
        "珠穆朗玛峰",
        "龘",
        "——",
        "……",
    ),
    *(
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "  ",
        "\t\ttab",
        "   \n  x",
        "    return x\n",
        "def f(a, b):\n    if a:\n        return b\n",
    ),
    *(
        "```python\n",
        "**bold**",
        "| a | b |\n|---|---|\n",
        "3.14159",
        "12345 ",
        "x=1+2;",
        "1. s, 2. t",
        "r(2)",
        "²",
        "٣",
    ),
    *("don't I'LL", "'s", "é", "Ünï", "🎉", " a", " B", *SPECIAL_TOKENS),
)


@pytest.fixture(scope="module")
def llama_pointer(demo_gguf: Path) -> Iterator[L.llama_vocab_p_ctypes]:
    L.llama_backend_init()
    params = L.llama_model_default_params()
    params.vocab_only = True
    model = L.llama_model_load_from_file(str(demo_gguf).encode(), params)
    assert model
    yield L.llama_model_get_vocab(model)
    L.llama_model_free(model)


def llama_ids(pointer: L.llama_vocab_p_ctypes, text: str) -> list[int]:
    data = text.encode()
    ids = (L.llama_token * (len(data) + 1))()
    count = L.llama_tokenize(pointer, data, len(data), ids, len(ids), False, True)
    return list(ids[:count])


def test_ids_are_those_of_llama_cpp_with_the_shipped_file(llama_pointer: L.llama_vocab_p_ctypes) -> None:
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 8)))
        assert encode(text) == llama_ids(llama_pointer, text), text


@pytest.mark.parametrize("progress", [0.0, SINGLE_TURNS_UNTIL, MIXED_UNTIL])
def test_what_is_trained_has_the_ids_that_llama_cpp_gives(
    llama_pointer: L.llama_vocab_p_ctypes, progress: float
) -> None:
    rng = random.Random(1)
    for row in (row for _ in range(2) for row in draw_rows(rng, progress)):
        for ids in (row.trunk.ids, *(branch.ids for _, branch in row.branches)):
            assert ids == llama_ids(llama_pointer, decode(ids))


def test_the_shipped_file_has_the_vocabulary_of_the_script(llama_pointer: L.llama_vocab_p_ctypes) -> None:
    vocabulary = build_vocabulary()
    assert (
        Vocab(LlamaCppVocab(llama_pointer)).n_tokens == len(vocabulary.tokens) == len(set(vocabulary.tokens))
    )


def test_decoding_gives_the_text_back() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 8)))
        assert decode(encode(text)) == text


@pytest.mark.parametrize("word", ["strawberries", "Mississippi", "therapist", "ing"])
def test_letters_inside_words_are_single_tokens(word: str) -> None:
    assert len(encode(word)) == len(encode(" " + word)) == len(word)


@pytest.mark.parametrize("text", [HANZI, PUNCTUATION.replace("°", "").replace("²", "").replace("×", "")])
def test_common_chinese_characters_are_single_tokens(text: str) -> None:
    assert all(len(encode(char)) == 1 for char in text if ord(char) > 0x7FF)
