"""Chats: created, listed, changed, deleted, restored, purged."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import Chat, ChatStore, MessageMeta
from tests.store.clock import START, Clock


async def ask(store: ChatStore, question: str) -> Chat:
    chat = await store.create_chat()
    await store.add_message(chat.id, None, ChatMessage(Role.USER, question))
    return await store.chat(chat.id)


async def titles(store: ChatStore, search: str | None = None) -> list[str]:
    return [summary.title for summary in await store.chats(search)]


async def test_a_new_chat_is_empty_and_knows_when_it_was_made(store: ChatStore) -> None:
    chat = await store.create_chat(system="Be brief.", mode_override=ThinkingMode.NO_THINK)
    assert chat == Chat(
        id=1,
        title="",
        system="Be brief.",
        mode_override=ThinkingMode.NO_THINK,
        head_id=None,
        created_at=START + timedelta(seconds=2),
        updated_at=START + timedelta(seconds=2),
    )
    assert await store.branch(chat.id) == ()


async def test_chats_are_listed_newest_first_and_pinned_ones_before_them(store: ChatStore) -> None:
    first, second, third = [await ask(store, question) for question in ("one", "two", "three")]
    assert await titles(store) == ["three", "two", "one"]
    await store.add_message(second.id, second.head_id, ChatMessage(Role.USER, "again"))
    assert await titles(store) == ["two", "three", "one"]
    await store.set_pinned(first.id, True)
    assert await titles(store) == ["one", "two", "three"]
    assert [summary.id for summary in await store.chats(limit=2)] == [first.id, second.id]
    await store.set_pinned(first.id, False)
    assert await titles(store) == ["two", "three", "one"]
    assert third.id == 3


async def test_a_summary_counts_messages_and_names_the_last_replys_model(store: ChatStore) -> None:
    chat = await ask(store, "Which one are you?")
    head_id = chat.head_id
    for model in ("Qwen3-0.6B", "Qwen3-4B"):
        reply = await store.add_message(
            chat.id,
            head_id,
            ChatMessage(Role.ASSISTANT, model),
            MessageMeta(model=model, stop_reason=StopReason.END_OF_TURN),
        )
        head_id = reply.id
    await store.add_message(chat.id, head_id, ChatMessage(Role.USER, "Really?"))
    (summary,) = await store.chats()
    assert (summary.message_count, summary.model) == (4, "Qwen3-4B")


async def test_a_summary_counts_the_messages_that_are_shown(store: ChatStore) -> None:
    chat = await ask(store, "Which one?")
    for answer in ("first", "second", "third"):  # versions of one answer
        await store.add_message(chat.id, chat.head_id, ChatMessage(Role.ASSISTANT, answer))
    edited = await store.add_message(chat.id, None, ChatMessage(Role.USER, "Which other one?"))
    assert [summary.message_count for summary in await store.chats()] == [1]
    await store.set_head(chat.id, edited.id - 1)
    assert [summary.message_count for summary in await store.chats()] == [2]
    await store.set_head(chat.id, None)
    assert [summary.message_count for summary in await store.chats()] == [0]


async def test_the_latest_chat_is_the_one_last_written_to(store: ChatStore) -> None:
    assert await store.latest_chat() is None
    first, second = await ask(store, "one"), await ask(store, "two")
    assert await store.latest_chat() == second
    await store.add_message(first.id, first.head_id, ChatMessage(Role.USER, "more"))
    latest = await store.latest_chat()
    assert latest is not None
    assert latest.id == first.id


async def test_a_reply_counts_as_writing_when_it_ends(store: ChatStore, clock: Clock) -> None:
    chat = await ask(store, "one")
    reply = await store.add_message(chat.id, chat.head_id, ChatMessage(Role.ASSISTANT, ""))
    await ask(store, "two")
    await store.finish_message(
        reply.id, ChatMessage(Role.ASSISTANT, "1"), MessageMeta(stop_reason=StopReason.END_OF_TURN)
    )
    assert await titles(store) == ["one", "two"]
    assert (await store.chat(chat.id)).updated_at == clock.now


async def test_what_is_set_on_a_chat_is_there_after_a_restart(path: Path, clock: Clock) -> None:
    store = await ChatStore.open(path, clock=clock)
    chat = await ask(store, "one")
    await store.set_title(chat.id, "草莓")
    await store.set_system(chat.id, "Answer in French.")
    await store.set_mode_override(chat.id, ThinkingMode.NO_THINK)
    await store.set_draft(chat.id, "Half a quest")
    await store.set_pinned(chat.id, True)
    before = await store.chat(chat.id)
    await store.close()
    store = await ChatStore.open(path, clock=clock)
    try:
        assert await store.chat(chat.id) == before
        assert (before.title, before.system, before.draft) == ("草莓", "Answer in French.", "Half a quest")
        assert (before.mode_override, before.pinned) == (ThinkingMode.NO_THINK, True)
        await store.set_mode_override(chat.id, None)
        assert (await store.chat(chat.id)).mode_override is None
    finally:
        await store.close()


async def test_a_deleted_chat_is_out_of_sight_until_it_is_restored(store: ChatStore) -> None:
    chat = await ask(store, "strawberries")
    await store.delete_chat(chat.id)
    assert await store.chats() == ()
    assert await store.chats("strawberries") == ()
    assert await store.find("strawberries") == ()
    assert await store.latest_chat() is None
    assert (await store.chat(chat.id)).deleted_at is not None
    await store.restore_chat(chat.id)
    assert await store.chat(chat.id) == chat
    assert len(await store.find("strawberries")) == 1


async def test_a_chat_written_to_after_it_was_deleted_elsewhere_is_there_again(store: ChatStore) -> None:
    chat = await ask(store, "one")
    await store.delete_chat(chat.id)
    await store.add_message(chat.id, chat.head_id, ChatMessage(Role.USER, "two"))
    assert await titles(store) == ["one"]


async def test_purging_removes_what_was_deleted_long_ago_and_nothing_else(
    store: ChatStore, clock: Clock
) -> None:
    old, recent, kept = [await ask(store, f"berries {number}") for number in range(3)]
    await store.delete_chat(old.id)
    clock.now += timedelta(days=30)
    await store.delete_chat(recent.id)
    assert await store.purge_deleted(timedelta(days=7)) == 1
    with pytest.raises(StoreError):
        await store.chat(old.id)
    await store.restore_chat(recent.id)
    assert {hit.chat_id for hit in await store.find("berries")} == {recent.id, kept.id}
    assert len(await store.branch(recent.id)) == 1


async def test_a_chat_deeper_than_sqlites_recursion_limit_can_be_purged(store: ChatStore) -> None:
    chat = await store.create_chat()
    parent_id = None
    for number in range(1100):
        message = await store.add_message(chat.id, parent_id, ChatMessage(Role.USER, str(number)))
        parent_id = message.id
    assert [stored.message.content for stored in await store.branch(chat.id)] == [str(n) for n in range(1100)]
    await store.delete_chat(chat.id)
    assert await store.purge_deleted(timedelta(0)) == 1
    assert await store.find("1099") == ()


async def test_an_id_is_never_used_again(store: ChatStore) -> None:
    chat = await ask(store, "one")
    await store.delete_chat(chat.id)
    await store.purge_deleted(timedelta(0))
    assert (await store.create_chat()).id == chat.id + 1


@pytest.mark.parametrize("chat_id", [0, 7, -1, 10**30])
async def test_an_unknown_chat_is_told_in_a_sentence(store: ChatStore, chat_id: int) -> None:
    with pytest.raises(StoreError) as caught:
        await store.chat(chat_id)
    assert str(caught.value) == f"There is no chat {chat_id}."


async def test_changing_an_unknown_chat_is_refused(store: ChatStore) -> None:
    changes = [
        store.set_title(9, "x"),
        store.set_draft(9, "x"),
        store.delete_chat(9),
        store.add_message(9, None, ChatMessage(Role.USER, "x")),
    ]
    for change in changes:
        with pytest.raises(StoreError):
            await change


TITLES = [
    ("How many r's in strawberries?", "How many r's in strawberries?"),
    ("\n\n  Fix   this:\n```py\nx\n```", "Fix this:"),
    ("草莓里有几个字母 r？", "草莓里有几个字母 r？"),
    ("", ""),
    (" \n\t\n", ""),
    ("a" * 100, "a" * 100),
    ("a" * 101, "a" * 99 + "…"),
    ("天" * 50, "天" * 50),
    ("天" * 51, "天" * 49 + "…"),
    ("How many? /no_think", "How many?"),
    ("真的吗？/think", "真的吗？"),
    ("/think\nWhy?", "Why?"),
    ("/no_think How many?", "How many?"),
    ("/no_think\tHow many?", "How many?"),
    ("/no_think, how many?", "how many?"),
    ("/no_think: how many?", "how many?"),
    ("/no_think /think Why? /no_think /think", "Why?"),
    ("Why? /no_think.", "Why?"),
    ("/no_think，真的吗？", "真的吗？"),
    ("/no_think真的吗？", "真的吗？"),
    ("请直接回答。/no_think。", "请直接回答。"),
    ("/no_think " + "a" * 100, "a" * 100),
    ("/no_think " + "a" * 101, "a" * 99 + "…"),
    ("/no_thinking is a word", "/no_thinking is a word"),
    ("/think/again is a path", "/think/again is a path"),
    ("see /usr/think", "see /usr/think"),
    ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
    ("line\r\nother", "line"),
]


@pytest.mark.parametrize(("question", "title"), TITLES)
async def test_a_chat_is_titled_after_the_first_line_of_its_first_question(
    store: ChatStore, question: str, title: str
) -> None:
    assert (await ask(store, question)).title == title


async def test_a_title_that_was_given_stays(store: ChatStore) -> None:
    chat = await store.create_chat()
    await store.set_title(chat.id, "Mine")
    await store.add_message(chat.id, None, ChatMessage(Role.USER, "one"))
    assert await titles(store) == ["Mine"]
