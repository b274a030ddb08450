from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import ModelReference


@pytest.mark.parametrize(
    ("text", "name", "selector", "is_repository"),
    [
        ("8B", "8B", None, False),
        ("8B:Q4_K_M", "8B", "Q4_K_M", False),
        ("8B:", "8B", "", False),
        ("", "", None, False),
        ("unsloth/Qwen3-8B-GGUF", "unsloth/Qwen3-8B-GGUF", None, True),
        ("a/b:Q8_0/c-00001-of-00002.gguf", "a/b", "Q8_0/c-00001-of-00002.gguf", True),
        ("a/b:c:d", "a/b", "c:d", True),
    ],
)
def test_a_reference_splits_at_its_first_colon_and_gives_its_text_back(
    text: str, name: str, selector: str | None, is_repository: bool
) -> None:
    reference = ModelReference.parse(text)
    assert (reference.name, reference.selector, reference.is_repository) == (name, selector, is_repository)
    assert str(reference) == text
