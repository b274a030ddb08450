"""The search: its results, their order, their excerpts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.store import ChatStore, MessageMeta, SearchOrder
from qwen3_chat.store.migrations import MIGRATIONS
from qwen3_chat.store.records import CallRecord

DONE = MessageMeta(stop_reason=StopReason.END_OF_TURN)
CORPUS = [
    (1, "How many r's are in strawberries?", ""),
    (2, "There are **three** r's.", "Let me spell it: s-t-r-a-w-b-e-r-r-i-e-s. That is 3."),
    (3, "今天天气怎么样？适合去公园吗", ""),
    (4, "北京今天晴，气温 25℃，适合出门。", "用户问的是天气。先看温度，再看风力。"),
    (5, "用Python写一个快速排序", ""),
    (6, "```python\ndef quick_sort(items: list[int]) -> list[int]:\n    return sorted(items)\n```", "Easy."),
    (7, "Das Café in Zürich heißt „Bücherwurm“.", ""),
    (8, "ＦＵＬＬ width and ½ a cup; e-mail me@example.com about 3.14", ""),
    (9, "한국어 문장도 찾을 수 있어요", ""),
    (10, "ひらがなとカタカナ、ﾊﾝｶｸも", ""),
    (11, "Straw hats, straw men. Straw!", "barely related"),
    (12, "天", "气"),
    (13, "今天。天气", ""),
]
RESULTS = [
    # English: words, beginnings, case, several words, phrases
    ("strawberries", [1]),
    ("straw", [11, 1]),
    ('"straw"', [11]),
    ("STRAW", [11, 1]),
    ("berries", []),
    ("three", [2]),
    ("many strawberries", [1]),
    ("strawberries many", [1]),
    ('"many strawberries"', []),
    ('"straw men"', [11]),
    ('"how many r\'s"', [1]),
    ("r's", [2, 1]),
    ("spell", [2]),
    ("three spell", [2]),
    ("barely hats", [11]),
    ("quick_sort", [6]),
    ("quick", [6]),
    ("sort", [6]),
    ("sorted(items)", [6]),
    ("list[int", [6]),
    ("me@example.com", [8]),
    ("3.14", [8]),
    ("full", [8]),
    ("cafe", [7]),
    ("Cafe\u0301", [7]),
    ("ZURICH", [7]),
    ("heisst", [7]),
    ("zebra", []),
    # Chinese: one character, two, many, mixed with English, beyond a sentence's end
    ("天", [13, 12, 4, 3]),
    ("气", [13, 12, 4, 3]),
    ("天气", [13, 4, 3]),
    ("今天", [13, 4, 3]),
    ("今天天气", [3]),
    ("公园", [3]),
    ("怎么样", [3]),
    ("适合", [4, 3]),
    ("适合 公园", [3]),
    ("适合去公园吗", [3]),
    ("适合公园", []),
    ("天气。先", [4]),
    ("用户", [4]),
    ("户用", []),
    ("Python", [6, 5]),
    ("用Python", [5]),
    ("Python写", [5]),
    ("python写一个", [5]),
    ("python 排序", [5]),
    ("25℃", [4]),
    ('"天气"', [13, 4, 3]),
    # Korean, Japanese
    ("한국어", [9]),
    ("국어", [9]),
    ("カタ", [10]),
    ("ハンカク", [10]),
    # Nothing to look for
    ("", []),
    ("  ", []),
    ("?!", []),
    ('"', []),
    ("*", []),
    ("NOT", []),
    ("content:straw", []),
    ("straw OR zebra", []),
    ("'; DROP TABLE chats; --", []),
]


@pytest.fixture
async def filled(store: ChatStore) -> ChatStore:
    """A store where each message of the corpus is a chat of its own, so that ids are the same."""
    for number, content, reasoning in CORPUS:
        chat = await store.create_chat()
        role = Role.ASSISTANT if reasoning else Role.USER
        stored = await store.add_message(chat.id, None, ChatMessage(role, content, reasoning), DONE)
        assert (chat.id, stored.id) == (number, number)
    return store


async def test_searches_find_what_they_should_newest_first(filled: ChatStore) -> None:
    for query, expected in RESULTS:
        hits = await filled.find(query)
        assert [hit.message_id for hit in hits] == expected, query
        for hit in hits:
            assert hit.marks, query


async def test_chats_are_found_by_their_messages(filled: ChatStore) -> None:
    for query, expected in RESULTS:
        if query.strip():
            assert [summary.id for summary in await filled.chats(query)] == expected, query


async def test_a_blank_search_lists_all_chats(filled: ChatStore) -> None:
    assert len(await filled.chats("  ")) == len(CORPUS)


async def test_chats_are_found_by_their_title(filled: ChatStore) -> None:
    await filled.set_title(8, "采购 list")
    assert [summary.id for summary in await filled.chats("采购")] == [8]
    await filled.set_title(8, "Shopping")
    assert await filled.chats("采购") == ()
    assert [summary.id for summary in await filled.chats("shop")] == [8]


async def test_relevance_puts_first_what_is_about_the_word(filled: ChatStore) -> None:
    hits = await filled.find("straw", order=SearchOrder.RELEVANCE)
    assert [hit.message_id for hit in hits] == [11, 1]
    # Two of the thinking against one of the answer: the answer says more.
    hits = await filled.find("天气", order=SearchOrder.RELEVANCE)
    assert [hit.message_id for hit in hits] == [13, 3, 4]


async def test_the_number_of_hits_can_be_limited(filled: ChatStore) -> None:
    assert [hit.message_id for hit in await filled.find("天", limit=2)] == [13, 12]


async def test_a_hit_shows_where_it_matched(filled: ChatStore) -> None:
    (hit,) = await filled.find("温度")
    assert hit.in_reasoning
    assert (hit.chat_id, hit.role) == (4, Role.ASSISTANT)
    assert hit.excerpt == "用户问的是天气。先看温度，再看风力。"
    assert [hit.excerpt[start:end] for start, end in hit.marks] == ["温度"]
    (hit,) = await filled.find("适合 公园")
    assert not hit.in_reasoning
    assert [hit.excerpt[start:end] for start, end in hit.marks] == ["适合", "公园"]
    assert hit.chat_title == "今天天气怎么样？适合去公园吗"


async def test_a_message_is_found_by_what_it_says_now(store: ChatStore) -> None:
    chat = await store.create_chat()
    reply = await store.add_message(chat.id, None, ChatMessage(Role.ASSISTANT, ""))
    await store.save_partial(reply.id, "perhaps apples", "")
    await store.finish_message(reply.id, ChatMessage(Role.ASSISTANT, "surely pears", "草莓"), DONE)
    assert await store.find("apples") == ()
    assert [hit.message_id for hit in await store.find("pears")] == [reply.id]
    assert [hit.message_id for hit in await store.find("草莓")] == [reply.id]


FORECAST = ToolCall(
    "get_weather", '{"city": "北京", "note": "first line\\nsecond \\"line\\"", "n": "\\u4e0a\\u6d77"}'
)


async def with_a_call(store: ChatStore) -> tuple[int, int]:
    """Store a reply that calls a tool and the result; return their ids."""
    chat = await store.create_chat()
    message = ChatMessage(Role.ASSISTANT, "", "Let me look.", (FORECAST, ToolCall("f", "{never parsed")))
    reply = await store.add_message(chat.id, None, message, DONE)
    result = await store.add_message(chat.id, reply.id, ChatMessage(Role.TOOL, "sunny, 25 degrees"))
    return reply.id, result.id


@pytest.mark.parametrize(
    "query", ["get_weather", "北京", "second", "line", "上海", "never parsed", "look 北京"]
)
async def test_calls_are_found_by_their_names_and_arguments(store: ChatStore, query: str) -> None:
    reply, _ = await with_a_call(store)
    (hit,) = await store.find(query)
    assert hit.message_id == reply
    assert hit.in_call
    assert not hit.in_reasoning
    assert hit.marks


async def test_results_are_found(store: ChatStore) -> None:
    _, result = await with_a_call(store)
    (hit,) = await store.find("sunny")
    assert (hit.message_id, hit.role, hit.in_call) == (result, Role.TOOL, False)


async def test_a_result_is_found_by_the_arguments_that_the_user_changed(store: ChatStore) -> None:
    reply, _ = await with_a_call(store)
    call = CallRecord(0, "get_weather", '{"city": "广州"}', "edited")
    chat_id = (await store.message(reply)).chat_id
    result = await store.add_message(chat_id, reply, ChatMessage(Role.TOOL, "rain"), MessageMeta(call=call))
    (hit,) = await store.find("广州")
    assert (hit.message_id, hit.in_call) == (result.id, True)
    assert "广州" in hit.excerpt


async def test_what_only_the_thinking_says_is_no_call(store: ChatStore) -> None:
    await with_a_call(store)
    (hit,) = await store.find("look")
    assert (hit.in_call, hit.in_reasoning) == (False, True)


async def test_calls_of_version_4_become_searchable(path: Path) -> None:
    store = await ChatStore.open(path, migrations=MIGRATIONS[:4])
    reply, _ = await with_a_call(store)
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE message_terms SET content = '' WHERE rowid = ?", (reply,))
        connection.execute(
            "INSERT INTO messages (chat_id, role, content, tool_calls, created_at)"
            " VALUES (1, 'assistant', 'damaged', '[{', 0)"
        )
    store = await ChatStore.open(path)
    assert [hit.message_id for hit in await store.find("北京")] == [reply]
    assert [hit.message_id for hit in await store.find("damaged")] == [reply + 2]
    await store.close()
