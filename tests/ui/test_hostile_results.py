"""Hostile results on the screen."""

from __future__ import annotations

import re
from pathlib import Path

from qwen3_chat.chat import ToolCall
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.texts.terminal_safe import UNSAFE_CHARACTERS
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from tests.fakes import FakeEngine
from tests.harness import open_app
from tests.session.hostile_results import HOSTILE_RESULTS
from tests.session.test_tool_turns import OwnTools, calling, saying

FETCH = ToolCall("fetch", "{}")
CLEAN = re.compile(f"[^{UNSAFE_CHARACTERS}]*")


async def chat_with_all(folder: Path) -> int:
    """Store a chat in which each hostile result was read."""
    results = iter([make() for kind, make in HOSTILE_RESULTS.items() if kind != "100 MB"])

    async def fetch(arguments: Arguments) -> str:
        return next(results)

    scripts = [script for _ in HOSTILE_RESULTS for script in (calling(FETCH), saying("Well."))]
    store = await ChatStore.open(folder / "chats.db")
    session = ChatSession(
        FakeEngine(*scripts),
        store,
        draw_seed=lambda: 1,
        clock=lambda: 0.0,
        options=TurnOptions(tools=("fetch",)),
        toolbox=OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.NOTHING)]),
    )
    for number in range(len(HOSTILE_RESULTS) - 1):
        await session.send(f"Page {number}", lambda event: None)
    await store.close()
    assert session.chat is not None
    return session.chat.id


async def test_a_chat_with_all_of_them_is_shown_from_end_to_end(tmp_path: Path) -> None:
    chat_id = await chat_with_all(tmp_path)
    async with open_app(tmp_path, FakeEngine(), resume=chat_id) as app:
        await app.sees("Well.")
        transcript = app.screen.transcript
        shown = set[str]()
        transcript.scroll_home(animate=False)
        await app.sees("Page 0")
        for index, view in enumerate(transcript.transcript_layout.message_views):
            view.open_override = True
            view.discard_rows()
            transcript.reveal(index)
            await app.pilot.pause()
            rows = app.rows()
            assert all(CLEAN.fullmatch(row) for row in rows)
            shown.update(row.strip() for row in rows)
        text = "\n".join(shown)
        assert "[bold red]x[/]" in text
        assert "<|im_end|>" in text
        assert "<script>alert(1)</script>" in text
