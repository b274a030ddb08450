"""Two running apps on one file."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.store import ChatStore, MessageMeta

REPOSITORY = Path(__file__).parent.parent.parent
DONE = MessageMeta(stop_reason=StopReason.END_OF_TURN)


async def start_app(path: Path, chat_id: int, name: str, count: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.store.two_apps",
        str(path),
        str(chat_id),
        name,
        str(count),
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_turns_of_two_windows_become_branches(path: Path) -> None:
    one, two = await ChatStore.open(path), await ChatStore.open(path)
    chat = await one.create_chat()
    shared = await one.add_message(chat.id, None, ChatMessage(Role.USER, "shared"))
    first = await one.add_message(chat.id, shared.id, ChatMessage(Role.ASSISTANT, "one"))
    second = await two.add_message(chat.id, shared.id, ChatMessage(Role.ASSISTANT, "two"))
    await one.save_partial(first.id, "one, going on", "")
    await two.save_partial(second.id, "two, going on", "")
    first = await one.finish_message(first.id, ChatMessage(Role.ASSISTANT, "one, done"), DONE)
    more = await one.add_message(chat.id, first.id, ChatMessage(Role.USER, "more"))
    second = await two.finish_message(second.id, ChatMessage(Role.ASSISTANT, "two, done"), DONE)
    for store in (one, two):
        assert await store.branch(chat.id, more.id) == (shared, first, more)
        assert await store.branch(chat.id, second.id) == (shared, second)
        assert await store.siblings(first.id) == (first, second)
        assert await store.branch(chat.id) == (shared, first, more)
        await store.close()


async def test_two_processes_that_write_one_chat_at_once_keep_every_turn(path: Path) -> None:
    store = await ChatStore.open(path)
    chat = await store.create_chat()
    apps = {name: await start_app(path, chat.id, name, 25) for name in ("red", "blue")}
    for name, app in apps.items():
        output, errors = await app.communicate()
        assert (app.returncode, errors) == (0, b"")
        branch = await store.branch(chat.id, int(output))
        expected = [text for number in range(25) for text in (f"{name} {number}", f"to {name} {number}")]
        assert [stored.message.content for stored in branch] == expected
    assert len(await store.find("red blue")) == 0
    assert len(await store.find('"to red"', limit=1000)) == 25
    await store.close()


async def test_what_arrived_before_an_app_was_killed_is_kept(path: Path) -> None:
    store = await ChatStore.open(path)
    chat = await store.create_chat()
    app = await start_app(path, chat.id, "killed", 0)
    assert app.stdout is not None
    reply_id = int(await app.stdout.readline())
    app.kill()
    await app.communicate()
    (reply,) = await store.branch(chat.id)
    assert reply.id == reply_id
    assert reply.message == ChatMessage(Role.ASSISTANT, "half an answer", "the thinking")
    assert reply.stop_reason is StopReason.CANCELLED
    await store.close()
    store = await ChatStore.open(path)
    assert [hit.message_id for hit in await store.find("thinking")] == [reply_id]
    await store.close()
