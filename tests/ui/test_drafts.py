from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.events import AnswerDelta
from qwen3_chat.session.draft_store import Draft, DraftStore
from qwen3_chat.store import ChatStore
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, Start

TEXTS = ["Half a quest", "两行\n  和空格 ", "a\ttab, “quotes”, 👩‍👩‍👧 e\u0301", "/think"]


async def saved(app: Harness, folder: Path, text: str) -> None:
    """Wait until a draft of the chat that has not begun is on the disk."""
    file = folder / "draft.json"
    await app.until(lambda: file.exists() and json.loads(file.read_bytes())["text"] == text)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_draft_of_a_new_chat_is_there_after_a_restart(start: Start, text: str) -> None:
    async with start() as app:
        app.screen.input.text = text
        await app.screen.shutdown()
    async with start() as app:
        await app.until(lambda: app.screen.input.text == text)


async def test_a_draft_is_on_the_disk_soon_for_the_owner_only(start: Start, tmp_path: Path) -> None:
    async with start() as app:
        await app.pilot.press(*"abc")
        await saved(app, tmp_path, "abc")
        assert stat.S_IMODE((tmp_path / "draft.json").stat().st_mode) == 0o600
        app.screen.input.clear()
        await app.until(lambda: not (tmp_path / "draft.json").exists())


async def test_a_message_that_began_a_chat_is_no_draft_of_the_next_new_chat(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write = asyncio.Event()
    async with start() as app:
        await app.pilot.press(*"abc")
        await saved(app, tmp_path, "abc")
        set_draft = app.store.set_draft

        async def set_draft_late(chat_id: int, draft: str) -> None:
            await may_write.wait()
            await set_draft(chat_id, draft)

        monkeypatch.setattr(app.store, "set_draft", set_draft_late)
        await app.turn("abc")
        await app.pilot.press("ctrl+n")
        await app.until(lambda: app.session.chat is None)
        await app.pilot.press("x")
        may_write.set()
        await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))
        assert app.screen.input.text == "x"


async def test_each_chat_has_its_own_draft(start: Start) -> None:
    async with start(FakeEngine([AnswerDelta("One"), finished()], [AnswerDelta("Two"), finished()])) as app:
        await app.turn("First")
        first = app.session.chat
        app.screen.input.text = "for the first"
        await app.pilot.press("ctrl+n")
        await app.until(lambda: app.screen.input.text == "")
        app.screen.input.text = "for the new one"
        assert first is not None
        await app.session.resume(first.id)
        app.screen.show_chat()
        await app.until(lambda: app.screen.input.text == "for the first")
        await app.pilot.press("ctrl+n")
        await app.until(lambda: app.screen.input.text == "for the new one")
        await app.screen.shutdown()
    async with start(resume=first.id) as app:
        await app.until(lambda: app.screen.input.text == "for the first")


async def test_a_draft_that_is_slow_to_come_is_not_written_over(start: Start) -> None:
    async with start() as app:
        await app.turn("Hello")
        chat = app.session.chat
        assert chat is not None
        app.screen.input.text = "kept "
        await app.screen.shutdown()
        gate, of = asyncio.Event(), app.screen.drafts._drafts.load

        async def slow(chat_id: int | None) -> Draft:
            await gate.wait()
            return await of(chat_id)

        app.screen.drafts._drafts.load = slow  # type: ignore[method-assign]
        await app.pilot.press("ctrl+n")
        await app.until(lambda: app.session.chat is None)
        await app.session.resume(chat.id)
        app.screen.show_chat()
        await app.pilot.press("a", "b")
        app.screen.tick()
        assert (await of(chat.id)).text == "kept "
        gate.set()
        await app.until(lambda: app.screen.input.text == "kept ab")


async def test_what_was_sent_is_no_draft_any_more(start: Start, tmp_path: Path) -> None:
    async with start() as app:
        app.screen.input.text = "Hello"
        await saved(app, tmp_path, "Hello")
        await app.turn("Hello")
        await app.until(lambda: not (tmp_path / "draft.json").exists())
        await app.screen.shutdown()
        assert app.session.chat is not None
        assert (await app.store.chat(app.session.chat.id)).draft == ""


async def test_what_is_sent_while_an_answer_is_written_survives_quitting_at_once(start: Start) -> None:
    gate = asyncio.Event()
    engine = FakeEngine([AnswerDelta("Half"), gate, finished()])
    async with start(engine) as app:
        await app.say("Go")
        await app.sees("Half")
        app.screen.input.text = "And then?"
        await app.pilot.press("enter", "ctrl+q")
        assert app.session.chat is not None
    async with start(resume=app.session.chat.id) as again:
        await again.until(lambda: again.screen.input.text == "And then?")


async def test_quitting_right_after_sending_leaves_the_text_in_the_chat_or_in_the_input(start: Start) -> None:
    async with start() as app:
        app.screen.input.text = "Hello"
        await app.pilot.press("enter", "ctrl+q")
        chat = app.session.chat
    async with start(resume=chat.id if chat else None) as again:
        sent = [stored.message.content for stored in again.session.messages]
        await again.until(lambda: "Hello" in (*sent, again.screen.input.text))


async def test_a_draft_that_can_not_be_kept_is_reported_once(start: Start, tmp_path: Path) -> None:
    async with start() as app:
        (tmp_path / "draft.json").mkdir()
        await app.pilot.press("a")
        await app.sees("can't be kept for later")
        notice_count = len(app.app._notifications)
        app.screen.input.text = "ab"
        await app.screen.shutdown()
        assert len(app.app._notifications) == notice_count


async def test_attachments_belong_to_the_draft(tmp_path: Path) -> None:
    store = await ChatStore.open(tmp_path / "chats.db")
    drafts = DraftStore(store, tmp_path / "draft.json")
    draft = Draft("Look", (Attachment("a.txt", "1\r\n2\n"),))
    await drafts.save(None, draft)
    assert await drafts.load(None) == draft
    chat = await store.create_chat()
    await drafts.save(chat.id, draft)
    assert await drafts.load(chat.id) == draft
    await store.close()


@pytest.mark.parametrize(
    "content", [b"{", b'{"text": "\xff"}', b"\xff\xfe", b"[" * 100_000, b'{"text": 1}', b'["x"]']
)
async def test_a_broken_draft_file_is_told_in_a_sentence_and_put_aside(
    start: Start, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "draft.json").write_bytes(content)
    async with start(size=(100, 40)) as app:
        await app.sees("damaged")  # a word: where the sentence is folded depends on the path in it
        await app.pilot.press(*"abc")
        await saved(app, tmp_path, "abc")
    assert (tmp_path / "draft.json.damaged").read_bytes() == content


async def test_a_draft_that_utf_8_cannot_hold_is_saved(start: Start, tmp_path: Path) -> None:
    store = DraftStore(await ChatStore.open(tmp_path / "chats.db"), tmp_path / "new" / "draft.json")
    await store.save(None, Draft("a\udcff", (Attachment("b\udcff", "c"),)))
    assert (await store.load(None)).text == "a\N{REPLACEMENT CHARACTER}"
    await store._store.close()
