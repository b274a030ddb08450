from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore
from qwen3_chat.store.migrations import MIGRATIONS
from qwen3_chat.store.records import Comparison, Entrant, MessageMeta, StoredMessage, VoteOutcome
from tests.store.clock import Clock

EIGHT = Entrant("8B", ThinkingMode.THINK, '{"path":"8"}')
FOUR = Entrant("4B", ThinkingMode.NO_THINK, '{"path":"4"}')


async def a_question(store: ChatStore) -> StoredMessage:
    chat = await store.create_chat()
    return await store.add_message(chat.id, None, ChatMessage(Role.USER, "Which?"))


async def answered(
    store: ChatStore, question: StoredMessage, *reasons: StopReason | None, entrants: tuple[Entrant, ...] = ()
) -> Comparison:
    """A comparison whose answers ended like this; None is one that is still being written."""
    comparison = await store.begin_comparison(question.chat_id, question.id, entrants or (EIGHT, FOUR))
    for position, reason in enumerate(reasons):
        message = ChatMessage(Role.ASSISTANT, f"Answer {position}")
        stored = await store.add_message(
            question.chat_id, question.id, message, MessageMeta(stop_reason=reason)
        )
        await store.set_compared_answer(comparison.id, position, stored.id)
    return await store.comparison(comparison.id)


async def test_a_comparison_keeps_its_order_and_its_answers(store: ChatStore) -> None:
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, None)
    assert comparison.entrants == (EIGHT, FOUR)
    assert [answer.is_whole for answer in comparison.answers] == [True, False]
    assert await store.open_comparisons(question.chat_id) == (comparison,)
    assert await store.latest_entrants() == (EIGHT, FOUR)


async def test_a_vote_is_given_once_and_counts_only_answers_that_are_there(store: ChatStore) -> None:
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, StopReason.ERROR)
    assert await store.votes() == ()
    await store.end_comparison(comparison.id, VoteOutcome.BEST, 0)
    again = await store.end_comparison(comparison.id, VoteOutcome.EQUAL)
    assert (again.verdict, again.winner) == (VoteOutcome.BEST, 0)
    (vote,) = await store.votes()
    assert [answer.counts for answer in vote.answers] == [True, False]
    assert await store.open_comparisons(question.chat_id) == ()


async def test_names_that_were_shown_without_a_vote_are_no_vote(store: ChatStore) -> None:
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, StopReason.END_OF_TURN)
    await store.end_comparison(comparison.id, VoteOutcome.NO_VOTE)
    assert await store.votes() == ()


async def test_a_vote_outlives_its_chat(store: ChatStore, clock: Clock) -> None:
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, StopReason.END_OF_TURN)
    await store.end_comparison(comparison.id, VoteOutcome.BEST, 1)
    await store.delete_chat(question.chat_id)
    clock.now += timedelta(days=40)
    assert await store.purge_deleted(timedelta(days=30)) == 1
    (vote,) = await store.votes()
    assert (vote.chat_id, vote.question_id, vote.head_id, vote.winner) == (None, None, None, 1)
    assert [answer.counts for answer in vote.answers] == [True, True]


async def test_a_deleted_answer_is_missing_and_a_deleted_question_waits_for_nothing(store: ChatStore) -> None:
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, StopReason.END_OF_TURN)
    message = comparison.answers[0].message
    assert message is not None
    await store.delete_messages(question.chat_id, [message.id], question.id)
    assert not (await store.comparison(comparison.id)).answers[0].is_whole
    await store.delete_messages(question.chat_id, [question.id], None)
    assert await store.open_comparisons(question.chat_id) == ()


async def test_there_is_an_error_for_a_comparison_that_does_not_exist(store: ChatStore) -> None:
    with pytest.raises(StoreError) as raised:
        await store.comparison(7)
    assert raised.value.code is ErrorCode.COMPARISON_NOT_FOUND


async def test_a_database_of_version_5_gets_comparisons_and_leaves_a_copy(path: Path, clock: Clock) -> None:
    store = await ChatStore.open(path, clock=clock, migrations=MIGRATIONS[:5])
    question = await a_question(store)
    await store.close()
    store = await ChatStore.open(path, clock=clock)
    try:
        await answered(store, question, StopReason.END_OF_TURN, StopReason.END_OF_TURN)
    finally:
        await store.close()
    assert len(list(path.parent.glob("chats-v5-*.db"))) == 1


async def test_damaged_cells_leave_a_comparison_that_can_be_shown(path: Path, clock: Clock) -> None:
    store = await ChatStore.open(path, clock=clock)
    question = await a_question(store)
    comparison = await answered(store, question, StopReason.END_OF_TURN, StopReason.END_OF_TURN)
    await store.end_comparison(comparison.id, VoteOutcome.BEST, 1)
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE comparisons SET winner = 99, verdict = x'ff'")
        connection.execute(
            "UPDATE compared_answers SET mode = 'deep', title = x'ff', choice = 12, counts = 'x'"
        )
    store = await ChatStore.open(path, clock=clock)
    try:
        damaged = await store.comparison(comparison.id)
        assert (damaged.verdict, damaged.winner) == (VoteOutcome.NO_VOTE, None)
        assert [answer.entrant.mode for answer in damaged.answers] == [ThinkingMode.THINK] * 2
        assert store.take_notices()
    finally:
        await store.close()
