from __future__ import annotations

from qwen3_chat.chat import ToolCall
from qwen3_chat.events import ToolCallRequested
from qwen3_chat.plain_chat.line_renderer import PROGRESS_INTERVAL_S, LineRenderer
from qwen3_chat.session import ToolCallStarted
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.result_notes import NoPaths


def test_a_long_call_is_read_out_now_and_then() -> None:
    written: list[str] = []
    now_s = 100.0
    renderer = LineRenderer(written.append, lambda: now_s, shows_thinking=True, paths=NoPaths())
    renderer.render(ToolCallStarted(ToolCall("web-get", "{}")))
    renderer.render(ToolCallProgressed("web-get", 1, 4))
    assert written == ["web-get is running.\n"]
    written.clear()
    now_s += PROGRESS_INTERVAL_S
    renderer.render(ToolCallProgressed("web-get", 2, 4, "page \x1b[31m2"))
    renderer.render(ToolCallProgressed("web-get", 3, 4))
    now_s += PROGRESS_INTERVAL_S
    renderer.render(ToolCallProgressed("web-get", 3))
    assert written == ["web-get is at work: 50% · page \ufffd[31m2.\n", "web-get is at work: 3.\n"]


def test_a_tool_of_a_server_has_one_name_in_all_lines() -> None:
    written: list[str] = []
    renderer = LineRenderer(written.append, lambda: 0.0, shows_thinking=True, paths=NoPaths())
    renderer.name_of = {"web-get": "mcp:web.get"}.__getitem__
    call = ToolCall("web-get", "{}")
    renderer.render(ToolCallRequested(call))
    renderer.render(ToolCallStarted(call))
    assert "".join(written) == "The model calls mcp:web.get({})\nmcp:web.get is running.\n"
