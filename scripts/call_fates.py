"""The fate of each tool call in the text of a reply, found out with the app's own parts and no engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.engine.reply_splitter import ReplyPart, ReplySplitter, TagScanner
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested
from qwen3_chat.session.recovered_calls import recover_calls
from qwen3_chat.tools.tool import ToolRegistry
from qwen3_chat.tools.tool_runner import CallOutcome, ToolRunner


class Fate(StrEnum):
    """What becomes of a call of a harmless tool; the values stand in docs/tool-calls.md."""

    RUN = "runs"
    ASKED = "is repaired, asked about"
    RETRIED = "is told as an error"
    TEXT = "stays text"


@dataclass(frozen=True, slots=True)
class FatedCall:
    """A call, its fate, and what the model reads of it; for text, the call is None."""

    fate: Fate
    call: ToolCall | None = None
    result: str = ""


def read_reply(pieces: Iterable[str], tool_names: Iterable[str]) -> ChatMessage:
    """Return the reply that a stream of text is, as it is stored."""
    scanner, splitter = TagScanner(), ReplySplitter()
    parts = list[ReplyPart]()
    for piece in pieces:
        for scanned in scanner.feed(piece):
            parts += splitter.feed(scanned)
    for scanned in scanner.flush():
        parts += splitter.feed(scanned)
    parts += splitter.flush()
    message = ChatMessage(
        Role.ASSISTANT,
        "".join(part.text for part in parts if isinstance(part, AnswerDelta)),
        "".join(part.text for part in parts if isinstance(part, ReasoningDelta)),
        tuple(part.call for part in parts if isinstance(part, ToolCallRequested)),
    )
    return recover_calls(message, frozenset(tool_names))


async def fates(reply: ChatMessage, tools: ToolRegistry) -> tuple[FatedCall, ...]:
    """Run the calls of a reply where nobody can be asked, and return the fate of each."""
    if not reply.tool_calls:
        return (FatedCall(Fate.TEXT),)
    started = list[ToolCall]()
    outcomes = await ToolRunner().run(reply.tool_calls, tools, started.append)
    return tuple(
        FatedCall(_fate(outcome, is_started=outcome.call in started), outcome.call, outcome.text)
        for outcome in outcomes
    )


def _fate(outcome: CallOutcome, *, is_started: bool) -> Fate:
    if is_started:
        return Fate.RUN
    # a call that a rule denies only because it was repaired is one that a user is asked about
    is_only_repaired = outcome.call.is_repaired and outcome.text.startswith("The call was not run:")
    return Fate.ASKED if is_only_repaired else Fate.RETRIED
