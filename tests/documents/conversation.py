"""Chats to export."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qwen3_chat.chat import (
    ChatMessage,
    Role,
    StopReason,
    ThinkingMode,
    Timings,
    ToolCall,
    Usage,
)
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.store.records import (
    CallRecord,
    Chat,
    MessageMeta,
    StoredMessage,
    WholeResult,
    pack_token_ids,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
THOUGHT = MessageMeta(
    model="Qwen3-0.6B",
    quant="Q4_K_M",
    mode=ThinkingMode.THINK,
    seed=7,
    stop_reason=StopReason.END_OF_TURN,
    usage=Usage(prompt_tokens=20, reused_tokens=4, reasoning_tokens=612, answer_tokens=130),
    timings=Timings(reasoning_s=14.2, decode_s=17.2, tokens_per_s=43.21),
    sampling=SamplingParams(0.6, 0.95, 20),
    engine="llama.cpp",
)
FAST = MessageMeta(
    model="Qwen3-0.6B",
    quant="Q4_K_M",
    mode=ThinkingMode.NO_THINK,
    seed=8,
    stop_reason=StopReason.MAX_TOKENS,
    usage=Usage(prompt_tokens=40, answer_tokens=12),
)


def chat_of(title: str = "草莓 *strawberries*", *, system: str = "Be brief.", chat_id: int = 4) -> Chat:
    return Chat(
        id=chat_id,
        title=title,
        system=system,
        mode_override=ThinkingMode.NO_THINK,
        head_id=None,
        created_at=NOON,
        updated_at=NOON + timedelta(minutes=3),
    )


def branch(*messages: ChatMessage | tuple[ChatMessage, MessageMeta]) -> tuple[StoredMessage, ...]:
    """Number messages from 1, each below the one before."""
    stored = []
    for number, item in enumerate(messages, start=1):
        message, meta = item if isinstance(item, tuple) else (item, MessageMeta())
        stored.append(
            StoredMessage(
                id=number,
                chat_id=4,
                parent_id=number - 1 or None,
                message=message,
                meta=meta,
                created_at=NOON + timedelta(seconds=number, milliseconds=5),
                packed_token_ids=pack_token_ids((151667, number)) if message.role is Role.ASSISTANT else b"",
            )
        )
    return tuple(stored)


def reply(content: str, reasoning: str = "", meta: MessageMeta = THOUGHT) -> tuple[ChatMessage, MessageMeta]:
    return ChatMessage(Role.ASSISTANT, content, reasoning), meta


def question(content: str) -> ChatMessage:
    return ChatMessage(Role.USER, content)


CONVERSATION = branch(
    ChatMessage(Role.USER, "How many r's?", mode_tag=ThinkingMode.THINK),
    reply("**3**", "Let me count.\n\ns-t-r"),
    question("天气呢？"),
    (ChatMessage(Role.ASSISTANT, "", "", (ToolCall("get_weather", '{"city": "北京"}'),)), FAST),
    (
        ChatMessage(Role.TOOL, '{"sky": "晴"}'),
        MessageMeta(
            call=CallRecord(
                0,
                "get_weather",
                '{"city": "上海"}',
                "edited",
                elapsed_s=0.4,
                whole=WholeResult(123_456, "0a" * 32, 123_460),
            )
        ),
    ),
    (ChatMessage(Role.ASSISTANT, "晴", ""), MessageMeta()),
)
