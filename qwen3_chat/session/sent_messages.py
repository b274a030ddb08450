"""Stored messages as an engine is sent them: with the ids that were sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.store.records import StoredMessage


def sent_messages(branch: Sequence[StoredMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages of a branch; the ids of thinking go along in the turn that is not over yet only.

    Qwen3's template drops the thinking of earlier turns, and it is most of what was sampled.
    """
    questions = [index for index, stored in enumerate(branch) if stored.message.role is Role.USER]
    latest = questions[-1] if questions else -1
    return tuple(
        with_sampled_ids(stored) if index > latest else _with_ids_of_answer(stored)
        for index, stored in enumerate(branch)
    )


def with_sampled_ids(stored: StoredMessage) -> ChatMessage:
    """Return a message with all ids that were sampled for it."""
    return replace(stored.message, token_ids=stored.token_ids)


def _with_ids_of_answer(stored: StoredMessage) -> ChatMessage:
    usage = stored.meta.usage
    return replace(stored.message, token_ids=stored.token_ids[usage.reasoning_tokens if usage else 0 :])
