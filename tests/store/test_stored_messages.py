"""Messages: stored as they are, in trees, while they are written."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen3_chat.chat import (
    ChatMessage,
    Role,
    StopReason,
    ThinkingMode,
    Timings,
    ToolCall,
    Usage,
)
from qwen3_chat.errors import StoreError
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.store import ChatStore, MessageMeta
from qwen3_chat.store.records import pack_token_ids, unpack_token_ids
from qwen3_chat.texts.terminal_safe import storable
from tests.store.clock import Clock

META = MessageMeta(
    model="Qwen3-0.6B",
    quant="Q8_0",
    mode=ThinkingMode.THINK,
    seed=2**63,
    stop_reason=StopReason.END_OF_TURN,
    usage=Usage(prompt_tokens=20, reused_tokens=4, reasoning_tokens=612, answer_tokens=130),
    timings=Timings(load_s=1.5, prefill_s=0.25, first_token_s=0.3, reasoning_s=14.2, decode_s=17.0),
    sampling=SamplingParams(0.6, 0.95, 20, presence_penalty=1.5),
    engine="llama.cpp",
)
MESSAGES = [
    (ChatMessage(Role.USER, "Really?", mode_tag=ThinkingMode.THINK), MessageMeta()),
    (ChatMessage(Role.SYSTEM, "Be brief."), MessageMeta()),
    (ChatMessage(Role.ASSISTANT, "**3**", "Let me count.\n\n</think> is a tag"), META),
    (
        ChatMessage(
            Role.ASSISTANT,
            "",
            tool_calls=(ToolCall("weather", '{"city": "北京"}'), ToolCall("time", "{}")),
        ),
        MessageMeta(stop_reason=StopReason.TOOL_CALLS),
    ),
    (ChatMessage(Role.TOOL, '{"sky": "晴"}'), MessageMeta()),
    (ChatMessage(Role.USER, "\r\n\ttabs, \x00 and \x1b[0m, 🍓 and 𠮷\n"), MessageMeta()),
    (ChatMessage(Role.USER, ""), MessageMeta()),
]


@pytest.mark.parametrize(("message", "meta"), MESSAGES)
async def test_a_message_comes_back_as_it_was_given(
    store: ChatStore, message: ChatMessage, meta: MessageMeta
) -> None:
    chat = await store.create_chat()
    added = await store.add_message(chat.id, None, message, meta)
    assert (added.message, added.meta, added.parent_id, added.token_ids) == (message, meta, None, ())
    assert await store.branch(chat.id) == (added,)
    assert await store.message(added.id) == added


async def test_lone_surrogates_of_a_paste_are_replaced(store: ChatStore) -> None:
    chat = await store.create_chat()
    call = ToolCall("x", '{"a": "\udc80"}')
    added = await store.add_message(
        chat.id, None, ChatMessage(Role.ASSISTANT, "a\udcffb", "\ud83c", (call,)), META
    )
    assert added.message == ChatMessage(
        Role.ASSISTANT, "a\ufffdb", "\ufffd", (ToolCall("x", '{"a": "\ufffd"}'),)
    )


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_stored_and_only_surrogates_change(text: str) -> None:
    kept = storable(text)
    kept.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert kept == text


@given(st.lists(st.integers(0, 2**31 - 1)).map(tuple))
def test_packed_token_ids_unpack(token_ids: tuple[int, ...]) -> None:
    assert unpack_token_ids(pack_token_ids(token_ids)) == token_ids


async def test_a_reply_is_kept_while_it_grows_and_as_it_ended(store: ChatStore) -> None:
    chat = await store.create_chat()
    question = await store.add_message(chat.id, None, ChatMessage(Role.USER, "How many r's?"))
    reply = await store.add_message(chat.id, question.id, ChatMessage(Role.ASSISTANT, ""))
    await store.save_partial(reply.id, "", "Let me")
    await store.save_partial(reply.id, "Thr", "Let me count.")
    growing = await store.message(reply.id)
    assert growing.message == ChatMessage(Role.ASSISTANT, "Thr", "Let me count.")
    ended = await store.finish_message(
        reply.id, ChatMessage(Role.ASSISTANT, "Three.", "Let me count."), META, (1, 151667, 151645)
    )
    assert ended.token_ids == (1, 151667, 151645)
    assert ended.meta == META
    assert await store.branch(chat.id) == (question, ended)
    await store.save_partial(reply.id, "too late", "")
    assert await store.message(reply.id) == ended


async def test_a_reply_that_was_cut_off_by_a_crash_is_there_as_stopped(path: Path, clock: Clock) -> None:
    crashed = await ChatStore.open(path, clock=clock)
    chat = await crashed.create_chat()
    reply = await crashed.add_message(chat.id, None, ChatMessage(Role.ASSISTANT, ""))
    await crashed.save_partial(reply.id, "Half an ans", "Strawberries")
    store = await ChatStore.open(path, clock=clock)
    (message,) = await store.branch(chat.id)
    assert message.message == ChatMessage(Role.ASSISTANT, "Half an ans", "Strawberries")
    assert message.meta.stop_reason is None
    assert message.stop_reason is StopReason.CANCELLED
    assert [hit.message_id for hit in await store.find("strawberries")] == [reply.id]
    await store.close()
    await crashed.close()


async def test_what_a_crash_left_is_made_searchable_once(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def traced(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.set_trace_callback(statements.append)
        return connection

    async def start() -> tuple[int, int]:
        """Open and close the store; return the numbers of statements run and of rows written."""
        statements.clear()
        store = await ChatStore.open(path, clock=clock)
        connection = store._database._connection
        assert connection is not None
        figures = sum(not text.startswith("--") for text in statements), connection.total_changes
        assert len(await store.find("strawberries", limit=2000)) == n_chats
        await store.close()
        return figures

    monkeypatch.setattr("qwen3_chat.store.database._connect", traced)
    n_chats = 0
    await start()
    when_empty = await start()
    n_chats = 1000
    with closing(sqlite3.connect(path)) as connection:
        for number in range(1, n_chats + 1):
            connection.execute("INSERT INTO chats (id, created_at, updated_at) VALUES (?, 1, 1)", (number,))
            connection.execute(
                "INSERT INTO messages (id, chat_id, role, content, created_at)"
                " VALUES (?, ?, 'assistant', 'Half of the strawberries', 1)",
                (number, number),
            )
        connection.commit()
    statements_at_first, written_at_first = await start()
    assert statements_at_first > n_chats
    assert written_at_first >= n_chats
    assert when_empty[1] == 0
    assert await start() == when_empty


async def test_a_search_finds_the_last_text_of_a_reply_that_was_cut_off_again(path: Path) -> None:
    store = await ChatStore.open(path)
    chat = await store.create_chat()
    whole = await store.add_message(chat.id, None, ChatMessage(Role.ASSISTANT, "early"), META)
    partial = await store.add_message(chat.id, whole.id, ChatMessage(Role.ASSISTANT, ""))
    await store.save_partial(partial.id, "early", "")
    await store.reopen_message(whole.id)
    other = await ChatStore.open(path)  # a window that makes both searchable as they are now
    assert {hit.message_id for hit in await other.find("early")} == {whole.id, partial.id}
    await other.close()
    for message in (whole, partial):
        await store.save_partial(message.id, "late", "")
    await store.close()  # as a crash would end it
    for _ in range(2):
        store = await ChatStore.open(path)
        assert {hit.message_id for hit in await store.find("late")} == {whole.id, partial.id}
        assert await store.find("early") == ()
        await store.close()


async def test_a_cancelled_task_leaves_its_transaction_to_finish(store: ChatStore) -> None:
    chat = await store.create_chat()
    tasks = [
        asyncio.create_task(store.add_message(chat.id, None, ChatMessage(Role.USER, str(number))))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(await store.children(chat.id, None)) == 20


async def test_variants_are_siblings_and_the_head_says_which_one_is_shown(store: ChatStore) -> None:
    chat = await store.create_chat()
    question = await store.add_message(chat.id, None, ChatMessage(Role.USER, "One?"))
    first = await store.add_message(chat.id, question.id, ChatMessage(Role.ASSISTANT, "a"), META)
    second = await store.add_message(chat.id, question.id, ChatMessage(Role.ASSISTANT, "b"), META)
    edited = await store.add_message(chat.id, None, ChatMessage(Role.USER, "Two?"))
    assert await store.branch(chat.id) == (edited,)
    assert await store.branch(chat.id, first.id) == (question, first)
    assert await store.siblings(first.id) == (first, second)
    assert await store.siblings(question.id) == (question, edited)
    assert await store.children(chat.id, question.id) == (first, second)
    assert await store.children(chat.id, None) == (question, edited)
    assert await store.children(chat.id, edited.id) == ()
    await store.set_head(chat.id, second.id)
    assert await store.branch(chat.id) == (question, second)
    await store.set_head(chat.id, None)
    assert await store.branch(chat.id) == ()


async def test_a_message_of_another_chat_is_no_parent_and_no_head(store: ChatStore) -> None:
    mine, other = await store.create_chat(), await store.create_chat()
    message = await store.add_message(other.id, None, ChatMessage(Role.USER, "x"))
    refused = [
        store.add_message(mine.id, message.id, ChatMessage(Role.USER, "y")),
        store.set_head(mine.id, message.id),
        store.set_head(mine.id, 99),
        store.branch(mine.id, message.id),
        store.branch(99),
        store.siblings(99),
        store.finish_message(99, ChatMessage(Role.ASSISTANT, ""), META),
    ]
    for call in refused:
        with pytest.raises(StoreError):
            await call
    assert await store.branch(mine.id) == ()
    assert (await store.chat(mine.id)).title == ""


@settings(max_examples=15, deadline=None)
@given(data=st.data())
async def test_a_branch_is_the_way_from_a_first_message_to_its_head(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = await ChatStore.open(tmp_path_factory.mktemp("tree") / "chats.db")
    chat = await store.create_chat()
    paths: dict[int | None, list[int]] = {None: []}
    for _ in range(data.draw(st.integers(1, 12))):
        parent_id = data.draw(st.sampled_from(list(paths)))
        added = await store.add_message(chat.id, parent_id, ChatMessage(Role.USER, "x"))
        paths[added.id] = [*paths[parent_id], added.id]
        assert [message.id for message in await store.branch(chat.id)] == paths[added.id]
    for message_id, expected in paths.items():
        if message_id is not None:
            assert [message.id for message in await store.branch(chat.id, message_id)] == expected
    await store.close()
