"""The templates and the vocabulary that prompts are tested with."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

from in_place_renderer import InPlaceRenderer
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.llama_cpp_library import LlamaCppVocab
from qwen3_chat.engine.worker.vocab import Vocab
from tests.prompt.special_tokens import SPECIALS

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class OpenVocab:
    """A vocabulary with a way around ours: llama.cpp reads the special tokens out of a whole text."""

    vocab: Vocab
    pointer: ctypes.c_void_p
    chat_template: str

    def ids_of_whole(self, text: str) -> list[int]:
        data = text.encode()
        ids = (L.llama_token * (len(data) + 1))()
        count = L.llama_tokenize(self.pointer, data, len(data), ids, len(ids), False, True)
        assert count >= 0
        return list(ids[:count])


def opened(path: Path) -> Iterator[OpenVocab]:
    L.llama_backend_init()
    params = L.llama_model_default_params()
    params.vocab_only = True
    model = L.llama_model_load_from_file(str(path).encode(), params)
    assert model
    pointer = L.llama_model_get_vocab(model)
    source: bytes | None = L.llama_model_chat_template(model, None)
    yield OpenVocab(Vocab(LlamaCppVocab(pointer)), pointer, (source or b"").decode())
    L.llama_model_free(model)


@pytest.fixture(scope="session")
def qwen3(qwen3_vocabulary: Path) -> Iterator[OpenVocab]:
    yield from opened(qwen3_vocabulary)


@pytest.fixture(scope="session")
def demo(demo_gguf: Path) -> Iterator[OpenVocab]:
    yield from opened(demo_gguf)


@pytest.fixture(scope="session")
def qwen3_source(qwen3: OpenVocab) -> str:
    return qwen3.chat_template


@pytest.fixture(scope="session")
def demo_source() -> str:
    path = REPOSITORY / "scripts" / "demo_model" / "chat_template.jinja"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def qwen3_template(qwen3_source: str) -> ChatTemplate:
    return ChatTemplate(qwen3_source, SPECIALS, InPlaceRenderer())


@pytest.fixture(scope="session")
def demo_template(demo_source: str) -> ChatTemplate:
    return ChatTemplate(demo_source, SPECIALS, InPlaceRenderer())


@pytest.fixture(scope="session")
def embedded_template(demo: OpenVocab) -> ChatTemplate:
    return ChatTemplate(demo.chat_template, SPECIALS, InPlaceRenderer())


@pytest.fixture(params=["qwen3_template", "demo_template", "embedded_template"])
def template(request: pytest.FixtureRequest) -> ChatTemplate:
    chosen: ChatTemplate = request.getfixturevalue(request.param)
    return chosen
