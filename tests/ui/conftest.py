"""The whole application on a terminal of the test's own, with a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from qwen3_chat.session import ChatSession
from qwen3_chat.store import Store
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.screens.chat import ChatScreen
from qwen3_chat.ui.themes import load_themes
from tests.fakes import FakeEngine

PATIENCE_S = 30


class Harness:
    """An application under test with what it was given."""

    def __init__(
        self, pilot: Pilot[None], app: ChatApp, screen: ChatScreen, store: Store, exports: Path
    ) -> None:
        self.pilot, self.app, self.screen, self.store, self.exports = pilot, app, screen, store, exports

    @property
    def session(self) -> ChatSession:
        return self.screen.session

    async def until(self, holds: Callable[[], object]) -> None:
        """Let the application work until something holds; a wait in vain shows the screen."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            pytest.fail("\n".join(self.rows()))

    async def say(self, text: str) -> None:
        """Type a message and send it."""
        self.screen.input.text = text
        await self.pilot.press("enter")

    async def turn(self, text: str) -> None:
        """Send a message and wait for the end of its turn."""
        replies = len(self.session.messages)
        await self.say(text)
        await self.until(lambda: len(self.session.messages) >= replies + 2 and not self.screen.turn.is_busy)

    def rows(self) -> list[str]:
        """The text on the screen, row by row."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    def shows(self, text: str) -> bool:
        """Whether a text is on the screen."""
        return text in "\n".join(self.rows())


Start = Callable[..., AbstractAsyncContextManager[Harness]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the application with an engine on a terminal of a size."""

    @asynccontextmanager
    async def run(
        engine: FakeEngine | None = None, size: tuple[int, int] = (80, 24), resume: int | None = None
    ) -> AsyncIterator[Harness]:
        store = await Store.open(tmp_path / "chats.db")
        session = ChatSession(engine or FakeEngine(), store, draw_seed=lambda: 1, clock=lambda: 0.0)
        if resume is not None:
            await session.resume(resume)
        (tmp_path / "exports").mkdir(exist_ok=True)
        screen = ChatScreen(session, store, tmp_path / "models", tmp_path / "exports")
        themes = load_themes(tmp_path / "themes").themes
        app = ChatApp(screen, themes, "qwen-dark", remember_theme=lambda name: None)
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                harness = Harness(pilot, app, screen, store, tmp_path / "exports")
                await harness.until(lambda: screen.is_mounted and not screen.turn.is_busy)
                yield harness
        finally:
            await store.close()

    return run
