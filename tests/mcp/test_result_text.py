"""What the model reads of a result that says one thing in two forms."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import CallToolResult, TextContent

from qwen3_chat.mcp.server_process.result_text import result_as_text


@pytest.mark.parametrize(
    ("texts", "value", "expected"),
    [
        (["sunny"], {"result": "sunny"}, "sunny"),
        (["7"], {"result": 7}, "7"),
        (["1", "2"], {"result": [1, 2]}, "1\n2"),
        (["a", "b"], {"result": ["a", "b"]}, "a\nb"),
        (['{ "a": 1 }'], {"a": 1}, '{ "a": 1 }'),
        (["It is 1."], {"a": 1}, 'It is 1.\n{"a": 1}'),
        ([], {"result": "sunny"}, '{"result": "sunny"}'),
        (["[" * 100_000], {"a": "是"}, "[" * 100_000 + '\n{"a": "是"}'),
    ],
)
def test_structured_content_is_not_said_twice(texts: list[str], value: Any, expected: str) -> None:
    content = [TextContent(type="text", text=text) for text in texts]
    assert result_as_text(CallToolResult(content=[*content], structured_content=value)) == expected
