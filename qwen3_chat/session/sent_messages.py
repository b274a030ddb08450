"""Stored messages in the form that an engine is sent, with the token ids that its own model sampled.

The turn and the title must send the same prefix, or the KV cache of the turn is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadedModel
from qwen3_chat.store.records import StoredMessage


def sent_messages(branch: Sequence[StoredMessage], model: LoadedModel | None) -> tuple[ChatMessage, ...]:
    """Return the messages of a branch with their ids; those of thinking only in the turn in progress.

    Qwen3's template drops the thinking of earlier turns, and it is most of what was sampled.
    """
    question_indexes = [index for index, stored in enumerate(branch) if stored.message.role is Role.USER]
    latest = question_indexes[-1] if question_indexes else -1
    return tuple(
        with_sampled_ids(stored, model) if index > latest else _with_ids_of_answer(stored, model)
        for index, stored in enumerate(branch)
    )


def with_sampled_ids(stored: StoredMessage, model: LoadedModel | None) -> ChatMessage:
    """Return a message with all ids that this model sampled for it; those of another model may differ."""
    return replace(stored.message, token_ids=stored.token_ids if _is_sampled_by(stored, model) else ())


def _with_ids_of_answer(stored: StoredMessage, model: LoadedModel | None) -> ChatMessage:
    message = with_sampled_ids(stored, model)
    usage = stored.meta.usage
    return replace(message, token_ids=message.token_ids[usage.reasoning_tokens if usage else 0 :])


def _is_sampled_by(stored: StoredMessage, model: LoadedModel | None) -> bool:
    return model is not None and (stored.meta.model, stored.meta.engine) == (model.name, model.engine)
