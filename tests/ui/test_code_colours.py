"""Code in the running app: coloured by another process, and never in the way of a key."""

from __future__ import annotations

import asyncio

from rich.style import Style

from qwen3_chat.events import AnswerDelta, EngineEvent
from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.transcript.message_view import ANSWER
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, Start

HOSTILE = f"```autoit\n{' ' * 5_000}\n```\n"
"""A block of some 30 rows for which Pygments needs a minute, without looking at a key meanwhile."""


def reply(*pieces: str) -> list[EngineEvent]:
    return [*(AnswerDelta(piece, number) for number, piece in enumerate(pieces, 1)), finished()]


def styles(app: Harness, text: str) -> set[Style | None]:
    """Return the styles of the row that shows a text."""
    strips = app.app.screen._compositor.render_strips()
    return {
        segment.style
        for strip in strips
        if text in "".join(segment.text for segment in strip)
        for segment in strip
        if segment.text.strip()
    }


def code_blocks(app: Harness) -> list[HighlightedCode]:
    view = app.screen.transcript.transcript_layout.message_views[-1]
    return view.sections[ANSWER].code_blocks


async def test_code_is_coloured_soon_after_it_is_shown(start: Start) -> None:
    async with start(FakeEngine(reply("```python\nreturn None  # why\n```\n"))) as app:
        await app.turn("code")
        await app.until(lambda: len(styles(app, "return None  # why")) == 3)


async def test_rows_have_their_colours_while_the_block_is_still_written(start: Start) -> None:
    engine = FakeEngine([AnswerDelta("```python\nreturn None  # why\nx = ", 1), asyncio.Event()])
    async with start(engine) as app:
        await app.say("code")
        await app.until(lambda: len(styles(app, "return None  # why")) == 3)


async def test_a_block_that_no_lexer_ends_holds_no_key_up(start: Start) -> None:
    engine = FakeEngine(reply(HOSTILE, "```python\nreturn None\n```\n"))
    async with start(engine, size=(200, 60)) as app:
        await app.turn("code")
        await app.pilot.press(*"still here")
        await app.sees("still here")
        await app.until(lambda: code_blocks(app)[0].is_plain)
        await app.until(lambda: len(styles(app, "return None")) == 2)


async def test_an_answer_keeps_its_colours_when_it_is_laid_out_again(start: Start) -> None:
    async with start(FakeEngine(reply("```json\n[1, true]\n```\n"))) as app:
        await app.turn("code")
        await app.until(lambda: len(styles(app, "[1, true]")) > 1)
        before = code_blocks(app)[0].spans
        await app.pilot.resize_terminal(70, 24)
        await app.until(lambda: app.screen.transcript.transcript_layout.width < 70)
        await app.sees("[1, true]")
        assert code_blocks(app)[0].spans == before  # at once, from memory
