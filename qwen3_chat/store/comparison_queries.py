"""The statements on comparisons and votes; each function runs inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store.records import ComparedAnswer, Comparison, Entrant, StoredMessage, VoteOutcome
from qwen3_chat.store.row_mapping import message_from_row
from qwen3_chat.store.stored_row import StoredRow
from qwen3_chat.texts.terminal_safe import storable

_COMPARISONS: Final = """
    SELECT comparisons.id AS id, comparisons.chat_id AS chat_id, question_id,
        comparisons.head_id AS head_id, verdict, winner, position, title, mode, choice, message_id, counts
    FROM comparisons JOIN compared_answers ON comparison_id = comparisons.id
"""
_IN_ORDER: Final = "ORDER BY comparisons.id, position"


def begin_comparison(
    connection: sqlite3.Connection,
    now: int,
    chat_id: int,
    question_id: int,
    entrants: Sequence[Entrant],
) -> Comparison:
    """Add a comparison whose answers are still to come."""
    comparison_id = connection.execute(
        "INSERT INTO comparisons (chat_id, question_id, head_id, created_at)"
        " VALUES (:chat_id, :question_id, (SELECT head_id FROM chats WHERE id = :chat_id), :now)",
        {"chat_id": chat_id, "question_id": question_id, "now": now},
    ).lastrowid
    connection.executemany(
        "INSERT INTO compared_answers (comparison_id, position, title, mode, choice) VALUES (?, ?, ?, ?, ?)",
        [
            (comparison_id, position, storable(one.title), one.mode.value, storable(one.choice))
            for position, one in enumerate(entrants)
        ],
    )
    return get_comparison(connection, comparison_id or 0)


def set_compared_answer(
    connection: sqlite3.Connection, comparison_id: int, position: int, message_id: int
) -> None:
    """Set the message that an entrant answers with."""
    connection.execute(
        "UPDATE compared_answers SET message_id = ? WHERE comparison_id = ? AND position = ?",
        (message_id, comparison_id, position),
    )


def end_comparison(
    connection: sqlite3.Connection, comparison_id: int, verdict: VoteOutcome, winner: int | None
) -> Comparison:
    """Store a vote about the answers that are there, unless there is one, and return the comparison."""
    comparison = get_comparison(connection, comparison_id)
    if comparison.verdict is not None:
        return comparison
    connection.execute(
        "UPDATE comparisons SET verdict = ?, winner = ? WHERE id = ?", (verdict.value, winner, comparison_id)
    )
    connection.executemany(
        "UPDATE compared_answers SET counts = ? WHERE comparison_id = ? AND position = ?",
        [(answer.is_whole, comparison_id, index) for index, answer in enumerate(comparison.answers)],
    )
    return get_comparison(connection, comparison_id)


def get_comparison(connection: sqlite3.Connection, comparison_id: int) -> Comparison:
    """Return a comparison with its answers.

    Raises:
        StoreError: there is no comparison with this id.
    """
    rows = connection.execute(f"{_COMPARISONS} WHERE comparisons.id = ? {_IN_ORDER}", (comparison_id,))
    for comparison in _comparisons(connection, rows):
        return comparison
    raise StoreError(ErrorCode.COMPARISON_NOT_FOUND, comparison_id=comparison_id)


def open_comparisons(connection: sqlite3.Connection, chat_id: int) -> tuple[Comparison, ...]:
    """Return the comparisons in a chat whose question is there and that have no vote yet, oldest first."""
    rows = connection.execute(
        f"{_COMPARISONS} JOIN messages ON messages.id = question_id"
        f" WHERE comparisons.chat_id = ? AND verdict IS NULL AND messages.deleted_at IS NULL {_IN_ORDER}",
        (chat_id,),
    )
    return tuple(_comparisons(connection, rows))


def votes(connection: sqlite3.Connection) -> tuple[Comparison, ...]:
    """Return all comparisons with a vote, oldest first, without the texts of their answers."""
    wanted = (VoteOutcome.BEST.value, VoteOutcome.EQUAL.value)
    rows = connection.execute(f"{_COMPARISONS} WHERE verdict IN (?, ?) {_IN_ORDER}", wanted)
    return tuple(_comparisons(None, rows))


def latest_entrants(connection: sqlite3.Connection) -> tuple[Entrant, ...]:
    """Return the entrants of the latest comparison; empty if there was none."""
    rows = connection.execute(
        f"{_COMPARISONS} WHERE comparisons.id = (SELECT max(id) FROM comparisons) {_IN_ORDER}"
    )
    return next((comparison.entrants for comparison in _comparisons(None, rows)), ())


def _comparisons(connection: sqlite3.Connection | None, rows: Iterable[StoredRow]) -> Iterator[Comparison]:
    """Make comparisons of rows that are in order; without a connection, they lack the messages."""
    for comparison_id, group in groupby(rows, key=lambda row: row.integer("id")):
        members = list(group)
        first = members[0]
        verdict = (
            None if first["verdict"] is None else first.value("verdict", VoteOutcome, VoteOutcome.NO_VOTE)
        )
        answers = tuple(_answer(connection, row) for row in members)
        winner = first.optional_integer("winner")
        if winner not in range(len(answers)):
            winner = None
        yield Comparison(
            comparison_id,
            first.optional_integer("chat_id"),
            first.optional_integer("question_id"),
            first.optional_integer("head_id"),
            answers,
            verdict,
            winner,
        )


def _answer(connection: sqlite3.Connection | None, row: StoredRow) -> ComparedAnswer:
    mode = row.value("mode", ThinkingMode, ThinkingMode.THINK)
    entrant = Entrant(row.text("title"), mode, row.text("choice"))
    message_id = row.optional_integer("message_id")
    message = None if connection is None or message_id is None else _live_message(connection, message_id)
    return ComparedAnswer(entrant, message, bool(row.integer("counts")))


def _live_message(connection: sqlite3.Connection, message_id: int) -> StoredMessage | None:
    row = connection.execute(
        "SELECT * FROM messages WHERE id = ? AND deleted_at IS NULL", (message_id,)
    ).fetchone()
    return None if row is None else message_from_row(row)
