"""The records that the store gives back, as frozen values."""

from __future__ import annotations

import sys
from array import array
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, Timings, Usage
from qwen3_chat.sampling import SamplingOverrides, SamplingParams

TOKEN_ID_BYTES = 4
"""The bytes of a packed token id."""
MAX_ID_DIGITS = 18
"""The most digits of an id that somebody typed: SQLite's numbers have 63 bits."""


class WholeResult(Struct, frozen=True):
    """The whole of a result that was cut for the model: its length, and its file where it was saved.

    `not_saved` is a value of `store.result_files.NotSaved` where it was not.
    """

    characters: int
    sha256: str = ""
    size_bytes: int = 0
    not_saved: str = ""


EDITED_CALL: Final = "edited"
"""The decision about a call that ran with arguments which the user had changed."""


class CallRecord(Struct, frozen=True):
    """The call that a tool's result belongs to: what ran, who decided, how it ended.

    `index` is the position among the calls of the reply; `decision` is a value of `tools.consent.Decision`.
    `whole` is None for a result that the model read whole.
    """

    index: int
    name: str
    arguments: str
    decision: str
    is_error: bool = False
    is_repaired: bool = False
    elapsed_s: float = 0.0
    whole: WholeResult | None = None


class MessageMeta(Struct, frozen=True):
    """The origin of a message: model, mode, sampling, end; None where it does not apply or is not known.

    It is stored as a single JSON object: adding or removing a field needs no migration.
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
    """The number of the branch's oldest messages that were dropped for the reply."""
    summary: str | None = None
    """The summary that replaced the dropped messages."""
    adapters: tuple[str, ...] | None = None
    """The labels of the adapters in use."""
    call: CallRecord | None = None
    """The call whose result the message is."""


class StoredMessage(Struct, frozen=True):
    """A node of a chat's tree of messages; `parent_id` is None for a first message.

    The sampled ids stay packed until `token_ids` is read: unpacked, those of a long chat would take tens of
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
        """The sampled token ids; tokenising the text again need not give the same."""
        return unpack_token_ids(self.packed_token_ids)

    @property
    def stop_reason(self) -> StopReason | None:
        """The reason why a reply ended; a reply without an end, as the app was killed, counts as stopped."""
        if self.message.role is Role.ASSISTANT and self.meta.stop_reason is None:
            return StopReason.CANCELLED
        return self.meta.stop_reason


class TitledBy(StrEnum):
    """The source of a chat's title: its first words, the model, the user."""

    WORDS = "words"
    MODEL = "model"
    USER = "user"


class ChatOptions(SamplingOverrides, frozen=True):
    """The generation options of a chat; None leaves the preset.

    They are stored as a single JSON object, like a message's meta.
    """

    max_tokens: int | None = None
    thinking_budget: int | None = None
    tools: tuple[str, ...] | None = None
    """The names of the tools on offer; None for those of new chats."""


NO_CHAT_OPTIONS = ChatOptions()


class Chat(Struct, frozen=True):
    """A chat without its messages; `mode_override` is None until the user switches the mode in it."""

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


class WholeChat(Struct, frozen=True):
    """A chat with the messages of all its branches, or of those that somebody chose."""

    chat: Chat
    messages: tuple[StoredMessage, ...]


class ChatSummary(Struct, frozen=True):
    """A line of the list of chats; `model` is the model of the last reply."""

    id: int
    title: str
    updated_at: datetime
    message_count: int
    model: str | None
    pinned: bool


class Deletion(Struct, frozen=True):
    """The data to restore deleted messages; all messages below them are deleted and restored with them."""

    chat_id: int
    message_ids: tuple[int, ...]
    deleted_at_ms: int
    head_id: int | None
    """The chat's head before the deletion."""


class Sibling(Struct, frozen=True):
    """A message at a fork, without metadata and token ids; only questions have their `content`."""

    id: int
    parent_id: int | None
    role: Role
    content: str


class Entrant(Struct, frozen=True):
    """A model in a mode that answers a question in a comparison.

    `title` names it to the user, and votes are counted by it; `choice` says what to load, as JSON of the
    session.
    """

    title: str
    mode: ThinkingMode
    choice: str


class ComparedAnswer(Struct, frozen=True):
    """An entrant with its answer; `message` is None until the answer has begun, and once it is deleted.

    `counts` is True if the answer was there when the user voted.
    """

    entrant: Entrant
    message: StoredMessage | None = None
    counts: bool = False

    @property
    def is_whole(self) -> bool:
        """True if the answer ended by itself or at a limit, so that it can be voted for."""
        return self.message is not None and self.message.stop_reason not in _BROKEN_OFF


_BROKEN_OFF: Final = (StopReason.CANCELLED, StopReason.ERROR)


class VoteOutcome(StrEnum):
    """The end of a comparison: one answer is best, none is better, the names were shown without a vote."""

    BEST = "best"
    EQUAL = "equal"
    NO_VOTE = "no_vote"


class Comparison(Struct, frozen=True):
    """A question that several models answer, in the order in which their answers are shown.

    `head_id` is the message that the chat ended with before it. `verdict` is None until the user has voted;
    `winner` is the index of the best answer.
    """

    id: int
    chat_id: int | None
    question_id: int | None
    head_id: int | None
    answers: tuple[ComparedAnswer, ...]
    verdict: VoteOutcome | None = None
    winner: int | None = None

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """The models in their modes."""
        return tuple(answer.entrant for answer in self.answers)

    @property
    def is_complete(self) -> bool:
        """True if every answer is there."""
        return all(answer.is_whole for answer in self.answers)


class SearchOrder(StrEnum):
    """The order of search results."""

    NEWEST = "newest"
    RELEVANCE = "relevance"


class SearchHit(Struct, frozen=True):
    """A search result: a message with an excerpt of its text around the first match.

    `marks` are the spans of `excerpt` that matched; `in_reasoning` is True if it comes from the thinking,
    `in_call` if it comes from a call.
    """

    chat_id: int
    chat_title: str
    message_id: int
    role: Role
    in_reasoning: bool
    excerpt: str
    marks: tuple[tuple[int, int], ...]
    created_at: datetime
    in_call: bool = False


def pack_token_ids(token_ids: tuple[int, ...]) -> bytes:
    """Pack token ids into four bytes each, little-endian."""
    return _little_endian(array("i", token_ids)).tobytes()


def unpack_token_ids(packed: bytes) -> tuple[int, ...]:
    """Unpack token ids that `pack_token_ids` packed."""
    ids = array("i")
    ids.frombytes(packed)
    return tuple(_little_endian(ids))


def _little_endian(ids: array[int]) -> array[int]:
    if sys.byteorder == "big":
        ids.byteswap()
    return ids
