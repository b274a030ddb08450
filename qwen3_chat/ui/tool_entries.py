"""Calls of tools and their results in the transcript: code as code, long results in panes that fold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from qwen3_chat.chat import ToolCall
from qwen3_chat.store.records import CallRecord
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_duration, format_line_count
from qwen3_chat.tools.built_in_tools import PYTHON
from qwen3_chat.tools.consent import Decision

MAX_SHOWN_RESULT_CHARS: Final = 20_000
"""The most characters of a tool's result that the transcript shows."""
MAX_CALL_LINE_CHARS: Final = 70
"""The most characters of a call that stands on one line."""
MAX_RESULT_LINE_CHARS: Final = 160
"""The most characters of a result that stands beside the name of its tool."""
MAX_OPEN_LINES: Final = 8
"""The most lines of a result whose pane is open before the reader folds it."""

_BACKTICKS: Final = re.compile("`+")


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A result: a line of its own as `line`, or a pane with a `title` and a `text`."""

    line: str = ""
    title: str = ""
    text: str = ""
    is_folded: bool = False


def call_markdown(call: ToolCall) -> str:
    """Return a call as Markdown: the source of `python` as code, other arguments as JSON."""
    match arguments := _parsed(call.arguments):
        case {"code": str() as code, **others} if call.name == PYTHON and not others:
            fence = _fence(code)
            return f"{call.name}\n\n{fence}python\n{code.rstrip()}\n{fence}"
        case dict() if len(call.arguments) > MAX_CALL_LINE_CHARS:
            shown = json.dumps(arguments, ensure_ascii=False, indent=2)
        case _:
            shown = call.arguments
    fence = _fence(shown)
    return f"{fence}json\n{call.name}({shown})\n{fence}"


def show_result(result: str, call: CallRecord | None) -> ShownResult:
    """Return how a result is shown; one line beside the name where it is short."""
    if call is None:
        return ShownResult(line=_cut(result, len(result)))
    whole_length = call.whole.characters if call.whole else len(result)
    if "\n" not in result.strip() and len(result) <= MAX_RESULT_LINE_CHARS:
        return ShownResult(line=f"{call.name} → {result}")
    n_lines = result.count("\n") + 1
    parts = [call.name, *_state(call), format_line_count(n_lines)]
    if call.elapsed_s:
        parts.append(format_duration(call.elapsed_s))
    text = _cut(result, whole_length)
    return ShownResult(
        title=SEPARATOR.join(parts),
        text=text,
        is_folded=n_lines > MAX_OPEN_LINES or len(text) > MAX_OPEN_LINES * MAX_RESULT_LINE_CHARS,
    )


def _state(call: CallRecord) -> list[str]:
    if call.decision == Decision.DENY:
        return [t("ui.tool.denied")]
    return [t("ui.tool.failed")] if call.is_error else []


def _cut(result: str, whole_length: int) -> str:
    if len(result) <= MAX_SHOWN_RESULT_CHARS:
        return result
    more = t("ui.tool.more", count=whole_length - MAX_SHOWN_RESULT_CHARS)
    return f"{result[:MAX_SHOWN_RESULT_CHARS]}\n{more}"


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None


def _fence(text: str) -> str:
    """Return backticks that no line of the text ends."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(3, longest + 1)
