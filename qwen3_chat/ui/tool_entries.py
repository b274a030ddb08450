"""Calls of tools in the transcript: a pane for each, which folds, with its arguments, state and result."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from qwen3_chat.chat import Role, ToolCall
from qwen3_chat.store.records import CallRecord, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_duration, format_line_count
from qwen3_chat.tools.built_in_tools import PYTHON
from qwen3_chat.tools.call_state import CallState, call_state
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.shown_arguments import show_arguments
from qwen3_chat.tools.tool_runner import is_json_object
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.ui.readable_result import make_readable

MAX_PANE_CHARS: Final = 20_000
"""The most characters of the arguments of a call, and of its result, that the transcript shows."""
MAX_TITLE_RESULT_CHARS: Final = 40
"""The most characters of a result that stands in the title of its pane."""
MAX_OPEN_LINES: Final = 8
"""The most lines of a result whose pane is open before the reader folds it."""
MAX_OPEN_CHARS: Final = 1_280

_BACKTICKS: Final = re.compile("`+")


def remarks_on(record: CallRecord) -> list[str]:
    """Return what else is to be known of a call: that it was repaired, that the user changed it."""
    changed = [t("ui.consent.edited")] if record.decision == Decision.EDITED else []
    return [*([t("ui.tool.repaired")] if record.is_repaired else []), *changed]


def code_markdown(call: ToolCall) -> str:
    """Return the source of a call of `python` as Markdown, which is coloured; nothing of any other call."""
    if call.name != PYTHON or (code := _code(call.arguments)) is None:
        return ""
    fence = _fence(code)
    return f"{fence}python\n{code.rstrip()}\n{fence}"


def call_entry(
    call: ToolCall, state: CallState, elapsed_s: float = 0.0, progress: Sequence[str] = ()
) -> MessageEntry:
    """Return the pane of a call that has no result yet, or none that is known."""
    parts = [call.name, _word(state), *([format_duration(elapsed_s)] if elapsed_s >= 1 else []), *progress]
    return MessageEntry(
        Role.TOOL.value,
        reasoning=_shown_arguments(call.name, call.arguments) or _word(state),
        reasoning_header=SEPARATOR.join(parts),
        is_folded=True,
    )


def result_entry(stored: StoredMessage, note: str = "") -> MessageEntry:
    """Return the pane of a call with its result: open where that is short and not in the title already."""
    result, record = stored.message.content, stored.meta.call
    if record is None:
        return MessageEntry(
            Role.TOOL.value, answer=_cut(result, len(result)), note=note, key=stored.id or None
        )
    state = call_state(result, record)
    text = _cut(make_readable(result), max(len(result), record.whole.characters if record.whole else 0))
    n_lines = text.count("\n") + 1
    is_in_title = state is CallState.DONE and n_lines == 1 and len(result) <= MAX_TITLE_RESULT_CHARS
    parts = [
        f"{record.name} → {result.strip()}" if is_in_title else record.name,
        _word(state),
        *remarks_on(record),
        *([] if is_in_title or state is not CallState.DONE else [format_line_count(n_lines)]),
        *([format_duration(record.elapsed_s)] if record.elapsed_s else []),
    ]
    arguments = _shown_arguments(record.name, record.arguments)
    return MessageEntry(
        role=Role.TOOL.value,
        reasoning="\n\n".join(filter(None, (arguments, text))),
        reasoning_header=SEPARATOR.join(parts),
        note=note,
        key=stored.id or None,
        is_folded=is_in_title or n_lines > MAX_OPEN_LINES or len(text) > MAX_OPEN_CHARS,
    )


def calls_without_result(reply: StoredMessage, results: Sequence[StoredMessage]) -> list[ToolCall]:
    """Return the calls of a reply that no result with a record belongs to."""
    known = {stored.meta.call.index for stored in results if stored.meta.call is not None}
    return [call for index, call in enumerate(reply.message.tool_calls) if index not in known]


def _word(state: CallState) -> str:
    return t(f"ui.tool.{state}")


def _shown_arguments(name: str, arguments: str) -> str:
    """Return the arguments as lines; nothing where there are none, or where the reply shows them as code."""
    if name == PYTHON and _code(arguments) is not None:
        return ""
    if len(arguments) > MAX_PANE_CHARS or not is_json_object(arguments):
        return _cut(arguments, len(arguments))
    return show_arguments(arguments)


def _code(arguments: str) -> str | None:
    """Return the source that is the only argument."""
    try:
        match json.loads(arguments):
            case {"code": str() as code, **others} if not others:
                return code
    except (ValueError, RecursionError):
        pass
    return None


def _cut(text: str, whole_length: int) -> str:
    if len(text) <= MAX_PANE_CHARS:
        return text
    more = t("ui.tool.more", count=max(whole_length, len(text)) - MAX_PANE_CHARS)
    return f"{text[:MAX_PANE_CHARS]}\n{more}"


def _fence(text: str) -> str:
    """Return backticks that no line of the text ends."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(3, longest + 1)
