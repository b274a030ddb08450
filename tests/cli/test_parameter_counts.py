from __future__ import annotations

import pytest

from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import format_parameter_count


@pytest.mark.parametrize(
    ("count", "english", "chinese"),
    [
        (5_113_600, "5.1 M", "511 万"),
        (135_000_000, "0.1 B", "1.4 亿"),
        (600_000_000, "0.6 B", "6 亿"),
        (30_532_122_624, "30.5 B", "305.3 亿"),
    ],
)
def test_parameters_are_counted_as_each_language_counts(count: int, english: str, chinese: str) -> None:
    assert format_parameter_count(count) == english
    set_language(Language.ZH)
    try:
        assert format_parameter_count(count) == chinese
    finally:
        set_language(Language.EN)
