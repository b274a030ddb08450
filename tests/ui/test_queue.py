from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qwen3_chat.chat import Role, StopReason
from qwen3_chat.documents.attachments import Attachment, split_attachments
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta
from qwen3_chat.ui.controllers.queue_controller import MAX_QUEUED
from qwen3_chat.ui.widgets.queue_bar import QueuedLine
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, Start


def slow_answer(gate: asyncio.Event, *end: Step) -> list[Step]:
    return [AnswerDelta("First"), gate, *(end or (finished(),))]


async def ask_and_wait(app: Harness, text: str) -> None:
    await app.say(text)
    await app.until(lambda: app.shows("First"))


def asked(app: Harness) -> list[str]:
    return [stored.message.content for stored in app.session.messages if stored.message.role is Role.USER]


async def test_messages_sent_while_an_answer_is_written_follow_it_in_their_order(start: Start) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine(slow_answer(gate))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        await app.sees("Next: two")
        assert app.screen.input.text == ""
        await app.say("three")
        await app.sees("Next: three")
        gate.set()
        await app.until(lambda: len(app.session.messages) == 6 and not app.screen.is_answering)
        assert asked(app) == ["one", "two", "three"]
        assert not app.shows("Next:")


async def test_up_in_the_empty_input_edits_the_last_queued_message(start: Start) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine(slow_answer(gate))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        await app.say("three")
        await app.sees("Next: three")
        await app.pilot.press("up")
        await app.until(lambda: app.screen.input.text == "three")
        assert app.screen.queue.contents == ("two",)
        await app.pilot.press("!", "enter")
        await app.sees("Next: three!")
        gate.set()
        await app.until(lambda: len(app.session.messages) == 6 and not app.screen.is_answering)
        assert asked(app) == ["one", "two", "three!"]


async def test_a_click_edits_a_queued_message_and_one_on_its_cross_removes_it(start: Start) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine(slow_answer(gate))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        await app.say("three")
        await app.until(lambda: len(app.screen.query(QueuedLine)) == 2)
        await app.pilot.click(app.screen.query(QueuedLine).first(), offset=(1, 0))
        await app.until(lambda: app.screen.queue.contents == ("three",))
        await app.until(lambda: len(app.screen.query(QueuedLine)) == 1)
        await app.pilot.press(*"so")
        await app.pilot.click(app.screen.query(QueuedLine).first(), offset=(10, 0))
        await app.until(lambda: app.screen.queue.contents == ())
        assert app.screen.input.text == "three\n\nso"
        gate.set()
        await app.until(lambda: not app.screen.is_answering)
        assert asked(app) == ["one"]


@pytest.mark.parametrize("way", ["stopped", "failed", "cut"])
async def test_after_an_answer_that_is_not_whole_the_messages_are_back_in_the_input(
    start: Start, way: str
) -> None:
    gate = asyncio.Event()
    ends: dict[str, list[Step]] = {
        "stopped": [finished(StopReason.CANCELLED)],
        "failed": [EngineError(ErrorCode.ENGINE_BUSY)],
        "cut": [finished(StopReason.MAX_TOKENS)],
    }
    async with start(FakeEngine(slow_answer(gate, *ends[way]))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        app.screen.input.attach(Attachment("a.txt", "text"))
        await app.say("three")
        await app.pilot.press(*"fo")
        if way == "stopped":
            await app.pilot.press("escape")
        gate.set()
        await app.until(lambda: not app.screen.is_answering and not app.screen.queue.contents)
        assert app.screen.input.text == "two\n\nthree\n\nfo"
        assert [attachment.name for attachment in app.screen.input.attachments] == ["a.txt"]
        assert asked(app) == ["one"]
        await app.pilot.press("enter")
        await app.until(lambda: len(asked(app)) == 2)


async def test_queued_messages_survive_a_crash_with_the_draft(start: Start, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine(slow_answer(gate))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        await app.say("three")
        await app.pilot.press(*"fo")
        chat = app.session.chat
        assert chat is not None

        async def stored_draft() -> str:
            draft = (await app.store.chat(chat.id)).draft
            return str(json.loads(draft)["text"]) if draft else ""

        for _ in range(500):
            if await stored_draft() == "two\n\nthree\n\nfo":
                break
            await app.pilot.pause(0.02)
        assert await stored_draft() == "two\n\nthree\n\nfo"  # what a crash at this moment leaves
        gate.set()
        await app.until(lambda: len(asked(app)) == 3 and not app.screen.is_answering)
        for _ in range(500):
            if await stored_draft() == "fo":
                break
            await app.pilot.pause(0.02)
        assert await stored_draft() == "fo"


async def test_leaving_the_app_keeps_queued_messages(start: Start) -> None:
    async with start(FakeEngine(slow_answer(asyncio.Event()))) as app:
        await ask_and_wait(app, "one")
        await app.say("two")
        chat = app.session.chat
        await app.screen.shutdown()
    assert chat is not None
    async with start(resume=chat.id) as app:
        await app.until(lambda: app.screen.input.text == "two")


async def test_the_queue_is_limited_and_the_message_stays_in_the_input(start: Start) -> None:
    async with start(FakeEngine(slow_answer(asyncio.Event()))) as app:
        await ask_and_wait(app, "one")
        for number in range(MAX_QUEUED):
            assert app.screen.queue.add(f"m{number}")
        await app.say("over")
        await app.pilot.pause()
        assert app.screen.input.text == "over"
        assert len(app.screen.queue.contents) == MAX_QUEUED
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)


async def test_a_hostile_queued_message_is_shown_as_text(start: Start) -> None:
    async with start(FakeEngine(slow_answer(asyncio.Event()))) as app:
        await ask_and_wait(app, "one")
        app.screen.queue.add("[red]x[/red] \x1b[31m \u202e\n" + "y" * 100_000)
        await app.sees("[red]x[/red]")
        assert not {"\x1b", "\u202e"} & set("".join(app.rows()))
        assert split_attachments(app.screen.queue.contents[0])[0].startswith("[red]")
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
