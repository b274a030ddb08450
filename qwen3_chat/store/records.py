"""The records that the store gives back, as frozen values."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from qwen3_chat.chat import ChatMessage, Role, SamplingParams, StopReason, ThinkingMode, Timings, Usage


@dataclass(frozen=True, slots=True)
class MessageMeta:
    """How a message came about; None where it does not apply or is not known.

    It is kept as one JSON object: a field that comes or goes with a version needs no migration.
    """

    model: str | None = None
    quant: str | None = None
    mode: ThinkingMode | None = None
    seed: int | None = None
    stop_reason: StopReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    sampling: SamplingParams | None = None
    engine: str | None = None
    left_out: int | None = None
    """How many of the branch's oldest messages a reply was written without."""
    summary: str | None = None
    """What stood for them."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One node of a chat's tree; `parent_id` is None for a first message.

    The sampled ids stay packed until someone asks: unpacked, those of a long chat would take tens of
    megabytes.
    """

    id: int
    chat_id: int
    parent_id: int | None
    message: ChatMessage
    meta: MessageMeta
    created_at: datetime
    packed_token_ids: bytes = b""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The ids that were sampled; text tokenised again need not give the same."""
        return unpack_token_ids(self.packed_token_ids)

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the reply ended; one that never got to its end, as the app was killed, counts as stopped."""
        if self.message.role is Role.ASSISTANT and self.meta.stop_reason is None:
            return StopReason.CANCELLED
        return self.meta.stop_reason


class TitledBy(StrEnum):
    """Who named a chat: the first words of it, the model, the user."""

    WORDS = "words"
    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How a chat's replies are generated where it differs from the presets; None leaves the preset.

    It is kept as one JSON object, like a message's meta.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    thinking_budget: int | None = None


NO_CHAT_OPTIONS = ChatOptions()


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation without its messages; `mode_override` is None until the mode was switched by key in it."""

    id: int
    title: str
    system: str
    mode_override: ThinkingMode | None
    head_id: int | None
    created_at: datetime
    updated_at: datetime
    pinned: bool = False
    draft: str = ""
    deleted_at: datetime | None = None
    options: ChatOptions = NO_CHAT_OPTIONS
    titled_by: TitledBy = TitledBy.WORDS


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """One line of the list of chats; `model` is the last reply's."""

    id: int
    title: str
    updated_at: datetime
    message_count: int
    model: str | None
    pinned: bool


@dataclass(frozen=True, slots=True)
class Deletion:
    """What it takes to bring deleted messages back; all that followed them went and comes along."""

    chat_id: int
    message_ids: tuple[int, ...]
    deleted_at_ms: int
    head_id: int | None
    """The message that the chat went on from before."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A message among others below the same one, without its answer's weight; questions keep their text."""

    id: int
    parent_id: int | None
    role: Role
    content: str


class SearchOrder(StrEnum):
    """What comes first among the messages found."""

    NEWEST = "newest"
    RELEVANCE = "relevance"


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A message that was found, with a piece of its text around the first match.

    `marks` are the spans of `excerpt` that matched; `in_reasoning` tells that the piece is of the thinking.
    """

    chat_id: int
    chat_title: str
    message_id: int
    role: Role
    in_reasoning: bool
    excerpt: str
    marks: tuple[tuple[int, int], ...]
    created_at: datetime


def pack_token_ids(token_ids: tuple[int, ...]) -> bytes:
    """Pack ids into four bytes each, little end first."""
    return _little_endian(array("i", token_ids)).tobytes()


def unpack_token_ids(packed: bytes) -> tuple[int, ...]:
    """Unpack what `pack_token_ids` made."""
    ids = array("i")
    ids.frombytes(packed)
    return tuple(_little_endian(ids))


def _little_endian(ids: array[int]) -> array[int]:
    if sys.byteorder == "big":
        ids.byteswap()
    return ids
