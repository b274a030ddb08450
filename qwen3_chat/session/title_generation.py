"""The title that the model gives a chat: the request for it and the check of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta, EngineEvent
from qwen3_chat.request import ChatRequest
from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.sent_messages import sent_messages
from qwen3_chat.session.thinking_mode import fixed_mode
from qwen3_chat.store.records import StoredMessage, TitledBy
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_TITLE_TOKENS: Final = 40
MAX_TITLE_CELLS: Final = 48
_QUESTIONS: Final = {  # in the language of the chat, not of the interface: the title comes in it
    True: "请给对话起一个标题，只回答标题。",
    False: "Summarise this conversation in a title. Reply with the title only.",
}
_STRIPPED_CHARACTERS: Final = " \t\"'`*_#“”‘’「」『』《》【】<>。.：:"
_LABEL: Final = re.compile(
    r"^(title|标题|(?:sure[,!.]* )?here(?:['’]s| is) [^:]{0,60}title[^:]{0,40}"
    r"|(?:好的[，。]?)?(?:这段|这个|本次)?(?:对话的?)?标题(?:是|如下)?)"
    r"\s*[:：]\s*",
    re.IGNORECASE,
)
"""The label of a title, or the half sentence with which small models begin."""
_MARKUP: Final = re.compile(r"</?\w|```|\]\(|https?://|\|")


def needs_title(session: ChatSession) -> bool:
    """Return True if a chat has a complete first exchange and its title is still made of its first words."""
    if session.chat is None or session.chat.titled_by is not TitledBy.WORDS:
        return False
    is_complete = bool(_first_exchange(session.messages))
    return is_complete and fixed_mode(session.engine.model) is not ThinkingMode.THINK


def _first_exchange(messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the first question that was answered to the end, and its answer; empty while there is none.

    Calls and results between them are left out: what a tool returned must not name the chat.
    """
    question = None
    for stored in messages:
        if stored.message.role is Role.USER:
            question = stored
        elif (
            question is not None
            and stored.message.role is Role.ASSISTANT
            and stored.stop_reason is StopReason.END_OF_TURN
        ):
            return question, stored
    return ()


async def generate_title(session: ChatSession) -> str | None:
    """Return the model's title for the chat's first exchange; None where it gives none.

    The model does not think for it. The request begins as the previous turn did, so that little of it has to
    be evaluated, and nothing of it is stored.
    """
    try:
        answer = await _request_title(session)
    except EngineError:
        return None  # the engine is busy or closed; another attempt follows
    return None if answer is None else parse_title(answer)


def parse_title(answer: str) -> str | None:
    """Return an answer without quotes and marks as a title; None unless it is one short line."""
    lines = [line for line in terminal_safe(answer).splitlines() if line.strip()]
    if len(lines) == 2 and lines[0].rstrip().endswith((":", "：")):
        lines = lines[1:]  # the first one only says that a title follows
    if len(lines) != 1 or lines[0].rstrip().endswith((":", "：")) or _MARKUP.search(lines[0]):
        return None
    title = " ".join(_LABEL.sub("", lines[0].strip(_STRIPPED_CHARACTERS)).strip(_STRIPPED_CHARACTERS).split())
    return title if title and cell_len(title) <= MAX_TITLE_CELLS else None


async def _request_title(session: ChatSession) -> str | None:
    first = _first_exchange(session.messages)
    if not first:
        return None
    request = ChatRequest(
        messages=(*session.system_messages, *sent_messages(first, session.engine.model), _question(first)),
        mode=ThinkingMode.NO_THINK,
        sampling=session.sampling_preset(ThinkingMode.NO_THINK),
        seed=0,
        tools=session.tools.specs,  # they stand before the question, and the prompt begins as the turn's did
        max_tokens=MAX_TITLE_TOKENS,
    )
    parts: list[str] = []

    def on_event(event: EngineEvent) -> None:
        if isinstance(event, AnswerDelta):
            parts.append(event.text)

    end = await session.engine.generate(request, on_event)
    return "".join(parts) if end.stop_reason is StopReason.END_OF_TURN else None


def _question(first: tuple[StoredMessage, ...]) -> ChatMessage:
    is_chinese = any("\u4e00" <= character <= "\u9fff" for character in first[0].message.content)
    return ChatMessage(Role.USER, _QUESTIONS[is_chinese])
