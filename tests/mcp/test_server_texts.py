"""Prompts and resources of servers that run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, UsageError
from qwen3_chat.mcp.forms import FieldKind, FormField
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_messages import ServerPrompt
from qwen3_chat.mcp.server_texts import prompt_command, prompt_request, resource_path
from tests.conftest import WAIT_LIMIT_S
from tests.mcp.real_servers import made_up, running_tools

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and processes")


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_LIMIT_S):
        while not holds():
            await asyncio.to_thread(time.sleep, 0.01)


async def test_prompts_and_resources_are_listed_and_read(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Texting")) as (tools, sentences):
        await until(tools.prompts)
        (prompt,) = tools.prompts()  # a name of 5,000 characters is none
        assert prompt_command(prompt) == "Texting:translate_it"
        assert prompt_request(prompt).fields == (
            FormField("language", "language", FieldKind.TEXT, is_required=True),
            FormField("tone", "tone", FieldKind.TEXT, "friendly \ufffd[31m…"),
        )
        assert await tools.prompt_text(prompt, {"language": "French"}) == "Translate to French:"
        note, logo = tools.resources()
        assert resource_path(note) == "mcp:Texting:made-up://notes/day.md"
        assert await tools.resource_text(note) == "# Today\nrain"
        with pytest.raises(McpError) as raised:
            await tools.resource_text(logo)
        assert raised.value.code is ErrorCode.MCP_RESOURCE_NOT_TEXT
        assert sentences == []


async def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Texting")) as (tools, _):
        await until(tools.prompts)
        (tool,) = tools.tools_named("mcp:Texting.echo")
        await tool.run({"text": "hi"})
        await until(lambda: [prompt.name for prompt in tools.prompts()] == ["translate it", "new1"])


async def test_a_server_that_has_ended_has_no_prompts_and_is_started_for_one(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Texting")) as (tools, _):
        await until(tools.prompts)
        (prompt,) = tools.prompts()
        await _end_process(tools)
        assert list(tools.prompts()) == []
        assert await tools.prompt_text(prompt, {"language": "German"}) == "Translate to German:"
        with pytest.raises(UsageError, match="no MCP server nobody"):
            await tools.prompt_text(ServerPrompt("nobody", "x"), {})


async def _end_process(tools: McpTools) -> None:
    assert tools.process_id is not None
    os.kill(tools.process_id, signal.SIGKILL)
    await until(lambda: tools.process_id is None)
