"""Prompts and resources of a server that runs, in the plain chat."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from time import monotonic

import pytest

from qwen3_chat.plain_chat.chat_loop import PlainChat
from qwen3_chat.plain_chat.form_lines import FormLines
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.plain_chat.server_text_lines import ServerTextLines, prompt_name
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.result_notes import NoPaths
from tests.fakes import FakeEngine
from tests.mcp.real_servers import made_up, running_tools
from tests.plain_chat.test_chat_loop import no_export

NOTE = "mcp:Texting:made-up://notes/day.md"


async def talk(folder: Path, *lines: str, tools: tuple[str, ...] = ("mcp:Texting",)) -> tuple[str, list[str]]:
    """Type lines into the plain chat with the server; return what was written, and the messages sent."""
    written, typed, engine = list[str](), iter(lines), FakeEngine()

    def read_line(prompt: str) -> str | None:
        written.append(prompt)
        return next(typed, None)

    async def to_its_end(turn: Coroutine[None, None, None]) -> None:
        await turn

    store = await ChatStore.open(folder / "chats.db")
    async with running_tools(folder, made_up("Texting")) as (source, _):
        options = TurnOptions(tools=tools)
        session = ChatSession(
            engine, store, lambda: 1, monotonic, options=options, toolbox=Toolbox(source=source)
        )
        renderer = LineRenderer(written.append, monotonic, True, NoPaths())
        texts = ServerTextLines(source, FormLines(renderer.write_line, read_line).fill, renderer.write_line)
        try:
            await PlainChat(session, store, renderer, read_line, to_its_end, no_export, texts).run()
        finally:
            await store.close()
    return "".join(written), [request.messages[-1].content for request in engine.requests]


async def test_a_prompt_is_listed_filled_in_and_sent_only_on_the_word(tmp_path: Path) -> None:
    filled = ("/Texting:translate_it", "fill", "French", "")
    said, sent = await talk(tmp_path, "/servers", *filled, "send", "", *filled, "send", "send")
    assert "/Texting:translate_it" in said
    assert f"@{NOTE}: " in said
    assert said.count("Translate to French:") == 2
    assert sent == ["Translate to French:"]


async def test_a_resource_is_attached_by_its_name_in_a_message(tmp_path: Path) -> None:
    said, sent = await talk(tmp_path, f"What is in @{NOTE} and @{NOTE} ?", "@mcp:Texting:made-up://logo Hm?")
    assert sent[0].startswith("What is in day.md and day.md ?\n\nTexting: ")
    assert sent[0].endswith("```\n# Today\nrain\n```\n")
    assert len(sent) == 1
    assert "has no text, so it cannot be attached" in said


async def test_what_no_server_has_is_one_sentence(tmp_path: Path) -> None:
    said, sent = await talk(tmp_path, "/Texting:nothing", "@mcp:nobody:x Hm?")
    assert "No server that runs has the prompt /Texting:nothing" in said
    assert "There is no MCP server nobody." in said
    assert sent == []


async def test_without_servers_nothing_is_a_prompt_or_a_resource(tmp_path: Path) -> None:
    said, sent = await talk(tmp_path, "/servers", "/a:b", f"@{NOTE}", tools=())
    assert "This chat has no MCP servers" in said
    assert sent == ["/a:b", f"@{NOTE}"]


@pytest.mark.parametrize(
    ("line", "name"),
    [(" /notes:day_1.x ", "notes:day_1.x"), ("/notes: x", None), ("/a/b:c", None), ("/open 3", None)],
)
def test_a_prompt_is_told_from_other_lines(line: str, name: str | None) -> None:
    assert prompt_name(line) == name
