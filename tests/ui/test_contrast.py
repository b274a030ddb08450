"""The contrast of every text of the chat and of every dialog, in every theme, measured on what is drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rich.segment import Segment
from textual.color import Color
from textual.command import CommandPalette
from textual.geometry import Region
from textual.notifications import SeverityLevel
from textual.widget import Widget

from qwen3_chat.chat import StopReason
from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.events import AnswerDelta, ReasoningDelta
from qwen3_chat.ui.screens.consent_screen import ConsentScreen
from qwen3_chat.ui.themes import load_themes
from qwen3_chat.ui.widgets.key_bar import KeyBar
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app
from tests.models.picker.picker_fixture import PickerFixture
from tests.ui.test_sizes import DIALOGS
from tests.ui.test_themes import contrast

NEEDED = 4.5
"""WCAG 2.2, level AA, for text of any size."""

ANSWER = """# Heading

Text with **bold**, *emphasis*, `code` and [a link](https://example.org).

> A quote

- [x] done
- item

| a | b |
|---|---|
| 1 | $x^2$ |
"""
CUT = StopReason.MAX_TOKENS
FOLLOW_THE_THEME = ("settings", "chats", "chat options", "models", "code blocks", "form", "address")
"""The dialogs that take the colours of another theme while they are open; the others are opened anew."""
SEVERITIES: tuple[SeverityLevel, ...] = ("information", "warning", "error")
DRAWN = (("\u2500", "\u257f"), ("\u2580", "\u259f"), ("\u2800", "\u28ff"))
"""Lines, blocks and dots: the first and the last character of each; they are no text."""


def is_text(segment: Segment) -> bool:
    return any(
        not character.isspace() and not any(first <= character <= last for first, last in DRAWN)
        for character in segment.text
    )


def dialog_region(app: Harness) -> Region:
    """Return what the open dialog covers: behind it, the chat is dimmed on purpose."""
    bar = app.app.screen.query_one(KeyBar)
    frames = [node for node in bar.ancestors if isinstance(node, Widget) and node.styles.border_bottom[0]]
    return frames[0].region


def too_faint(app: Harness, region: Region | None = None) -> set[str]:
    """Return the texts on the screen, or in a region, with too little contrast, with their colours."""
    found = set()
    region = app.app.screen.region if region is None else region
    for strip in app.app.screen._compositor.render_strips()[region.y : region.bottom]:
        for segment in strip.crop(region.x, region.right):
            style = segment.style
            if style is None or style.color is None or style.bgcolor is None or not is_text(segment):
                continue
            front, back = (Color.from_rich_color(color) for color in (style.color, style.bgcolor))
            if style.reverse:
                front, back = back, front
            if (ratio := contrast(front, back)) < NEEDED:
                found.add(f"{segment.text.strip()[:40]!r} {front.hex} on {back.hex}: {ratio:.1f}")
    return found


async def test_every_text_of_the_chat_has_contrast_in_every_theme(tmp_path: Path) -> None:
    themes = [theme.name for theme in load_themes(tmp_path / "themes").themes if not theme.ansi]
    picker = PickerFixture(tmp_path)
    engine = FakeEngine([ReasoningDelta("Thought", 3), AnswerDelta(ANSWER, 4), finished(CUT)])
    found: dict[str, set[str]] = {}
    async with open_app(tmp_path, engine, (110, 40), model_picker=picker.model_picker()) as app:
        await app.turn("Hello")
        app.screen.queue.add("waits")

        async def look(place: str) -> None:
            for theme in themes:
                app.app.theme = theme
                await app.pilot.pause()
                if faint := too_faint(app):
                    found.setdefault(f"{place}, {theme}", set()).update(faint)

        await look("chat")
        await app.pilot.press("slash")
        await app.sees("/toggle_mode")
        await look("commands")
    assert found == {}


def is_ready(app: Harness) -> bool:
    """Return whether a dialog is open; the answers of one are grey until it may be answered."""
    screen = app.app.screen
    return screen is not app.screen and (not isinstance(screen, ConsentScreen) or screen.is_armed)


async def welcome(app: Harness) -> None:
    await app.pilot.press("ctrl+n")


async def notices(app: Harness) -> None:
    for severity in SEVERITIES:
        app.app.notify("Text of a notice", title="Its title", severity=severity, timeout=600)
    await app.sees("Text of a notice")


async def marked(app: Harness) -> None:
    await app.pilot.press("ctrl+up")


async def side(app: Harness) -> None:
    await app.pilot.press("ctrl+b")


async def files(app: Harness) -> None:
    app.screen.input.insert("@https://example.org")
    await app.sees("attach this page")


async def attachments(app: Harness) -> None:
    app.screen.input.attach(Attachment("notes.md", "text " * 90_000))
    await app.sees("notes.md")


async def editing(app: Harness) -> None:
    await app.pilot.press("ctrl+up", "ctrl+up", "e")


PLACES = (welcome, notices, marked, side, files, attachments, editing)
"""What the chat shows beside the messages, each with the keys that lead there."""


@pytest.mark.full
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_every_text_around_the_chat_has_contrast_in_every_theme(
    tmp_path: Path, place: Callable[[Harness], Awaitable[None]]
) -> None:
    themes = [theme.name for theme in load_themes(tmp_path / "themes").themes if not theme.ansi]
    engine = FakeEngine([ReasoningDelta("Thought", 3), AnswerDelta(ANSWER, 4), finished(CUT)])
    found: dict[str, set[str]] = {}
    async with open_app(tmp_path, engine, (110, 40)) as app:
        await app.turn("Hello")
        await place(app)
        for theme in themes:
            app.app.theme = theme
            await app.pilot.pause()
            if faint := too_faint(app):
                found[theme] = faint
    assert found == {}


@pytest.mark.full
async def test_every_text_of_the_command_palette_has_contrast_in_every_theme(tmp_path: Path) -> None:
    themes = [theme.name for theme in load_themes(tmp_path / "themes").themes if not theme.ansi]
    found: dict[str, set[str]] = {}
    async with open_app(tmp_path, FakeEngine(), (100, 40)) as app:
        for theme in themes:
            app.app.theme = theme
            await app.pilot.press("ctrl+p")
            await app.until(lambda: isinstance(app.app.screen, CommandPalette) and app.app.focused)
            for typed, seen in (("theme", "Theme: "), ("zzzz", "No such command.")):
                await app.pilot.press(*typed)
                await app.sees(seen)
                for part in ("CommandInput", "CommandList"):  # around them, the chat is dimmed on purpose
                    region = app.app.screen.query_one(part).region
                    assert region.area > 0
                    if faint := too_faint(app, region):
                        found.setdefault(theme, set()).update(faint)
            await app.pilot.press("escape")
            await app.until(lambda: app.app.screen is app.screen)
    assert found == {}


@pytest.mark.full
@pytest.mark.parametrize("dialog", DIALOGS)
async def test_every_text_of_a_dialog_has_contrast_in_every_theme(tmp_path: Path, dialog: str) -> None:
    themes = [theme.name for theme in load_themes(tmp_path / "themes").themes if not theme.ansi]
    picker = PickerFixture(tmp_path)
    engine = FakeEngine([AnswerDelta("```python\nprint(1)\n```\n\n" * 2), finished()])
    found: dict[str, set[str]] = {}
    async with open_app(tmp_path, engine, (80, 24), model_picker=picker.model_picker()) as app:
        await app.turn("Hello")
        app.screen.transcript.to_end()
        for theme in themes:
            app.app.theme = theme
            if app.app.screen is app.screen:
                await DIALOGS[dialog](app)
            await app.until(lambda: is_ready(app))
            await app.pilot.pause()
            if faint := too_faint(app, dialog_region(app)):
                found[theme] = faint
            while dialog not in FOLLOW_THE_THEME and app.app.screen is not app.screen:
                app.app.screen.dismiss()
                await app.pilot.pause()
            app.screen.transcript.marked = None
            app.screen.input.focus()
    assert found == {}
