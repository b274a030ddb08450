"""Messages that are deleted and restored, and the forks of the tree."""

from __future__ import annotations

from datetime import timedelta

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.store import ChatStore, MessageMeta
from qwen3_chat.store.records import ChatOptions, TitledBy
from tests.store.clock import Clock

USER, ASSISTANT = Role.USER, Role.ASSISTANT
DONE = MessageMeta(stop_reason=StopReason.END_OF_TURN)


async def grow(store: ChatStore, *nodes: tuple[int | None, Role, str]) -> int:
    """Create a chat of messages 1, 2, 3 …, each with its parent's number."""
    chat = await store.create_chat()
    for parent_id, role, content in nodes:
        await store.add_message(chat.id, parent_id, ChatMessage(role, content), DONE)
    return chat.id


async def branch_of(store: ChatStore, chat_id: int) -> list[int]:
    return [stored.id for stored in await store.branch(chat_id)]


TREE: tuple[tuple[int | None, Role, str], ...] = (
    (None, USER, "one"),
    (1, ASSISTANT, "first pears"),
    (1, ASSISTANT, "second pears"),
    (3, USER, "two"),
    (4, ASSISTANT, "third pears"),
)


async def test_a_deleted_message_takes_what_follows_it_along_and_comes_back_with_it(store: ChatStore) -> None:
    chat_id = await grow(store, *TREE)
    deletion = await store.delete_messages(chat_id, [3], 2)
    assert await branch_of(store, chat_id) == [1, 2]
    assert [m.id for m in await store.children(chat_id, 1)] == [2]
    assert [hit.message_id for hit in await store.find("pears")] == [2]
    assert [(c.id, c.message_count) for c in await store.chats()] == [(chat_id, 2)]
    await store.restore_messages(deletion)
    assert await branch_of(store, chat_id) == [1, 3, 4, 5]
    assert [hit.message_id for hit in await store.find("pears")] == [5, 3, 2]


async def test_bringing_back_leaves_what_was_deleted_before(store: ChatStore) -> None:
    chat_id = await grow(store, *TREE)
    inner = await store.delete_messages(chat_id, [5], 4)
    outer = await store.delete_messages(chat_id, [3], 2)
    await store.restore_messages(outer)
    assert await branch_of(store, chat_id) == [1, 3, 4]
    await store.restore_messages(inner)
    assert await branch_of(store, chat_id) == [1, 3, 4, 5]


async def test_a_message_added_below_a_deleted_one_brings_it_back(store: ChatStore) -> None:
    chat_id = await grow(store, *TREE)
    await store.delete_messages(chat_id, [3], 2)
    added = await store.add_message(chat_id, 5, ChatMessage(USER, "from another window"))
    assert await branch_of(store, chat_id) == [1, 3, 4, 5, added.id]


async def test_what_was_deleted_long_ago_is_removed_for_good(store: ChatStore, clock: Clock) -> None:
    chat_id = await grow(store, *TREE)
    await store.delete_messages(chat_id, [4], 3)
    await store.delete_messages(chat_id, [3], 2)
    clock.now += timedelta(days=40)
    await store.purge_deleted(timedelta(days=30))
    assert await branch_of(store, chat_id) == [1, 2]
    assert [hit.message_id for hit in await store.find("pears")] == [2]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (((None, USER, "a"), (1, ASSISTANT, "b")), []),
        (((None, USER, "a"), (1, ASSISTANT, "b"), (1, ASSISTANT, "c")), [2, 3]),
        (((None, USER, "a"), (1, ASSISTANT, "b"), (None, USER, "c"), (3, ASSISTANT, "d")), [1, 2, 3, 4]),
        (((None, USER, "a"), (1, ASSISTANT, "b"), (2, USER, "c"), (2, USER, "d")), [3, 4]),
    ],
    ids=["a line", "two answers", "two first questions", "two questions"],
)
async def test_the_forks_of_a_tree(
    store: ChatStore, nodes: tuple[tuple[int | None, Role, str], ...], expected: list[int]
) -> None:
    chat_id = await grow(store, *nodes)
    assert [fork.id for fork in await store.forks(chat_id)] == expected


async def test_the_model_never_renames_what_the_user_named(store: ChatStore) -> None:
    chat_id = await grow(store, *TREE)
    assert (await store.chat(chat_id)).titled_by is TitledBy.WORDS
    assert await store.set_title(chat_id, "Fruit", TitledBy.MODEL)
    await store.set_title(chat_id, "My pears")
    assert not await store.set_title(chat_id, "Fruit", TitledBy.MODEL)
    chat = await store.chat(chat_id)
    assert (chat.title, chat.titled_by) == ("My pears", TitledBy.USER)


async def test_the_options_of_a_chat_are_kept(store: ChatStore) -> None:
    first = await store.create_chat(options=ChatOptions(temperature=0.2))
    assert (await store.chat(first.id)).options == ChatOptions(temperature=0.2)
    await store.set_options(first.id, ChatOptions(top_k=5, max_tokens=100))
    assert (await store.chat(first.id)).options == ChatOptions(top_k=5, max_tokens=100)
