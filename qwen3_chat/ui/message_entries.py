"""Messages as entries of the transcript, with headers, notes and the welcome of an empty chat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from qwen3_chat.chat import ChatMessage, Role, Timings, Usage
from qwen3_chat.documents.attachments import split_attachments
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LOCAL_ENGINE_NAME, LoadedModel
from qwen3_chat.session.message_versions import MessageVersions
from qwen3_chat.store.records import MessageMeta, StoredMessage
from qwen3_chat.texts import formatting, t
from qwen3_chat.texts.formatting import format_parameter_count
from qwen3_chat.tools.built_in_tools import FILES_WRITTEN
from qwen3_chat.tools.call_state import CallState
from qwen3_chat.tools.result_notes import ResultPaths, result_note
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.ui.tool_entries import (
    call_entry,
    calls_without_result,
    code_markdown,
    result_entry,
)

NOTICE = "notice"
"""The role of the entries that the app itself writes."""

MAX_WELCOME_TITLE = 40
"""The most characters of a title in the welcome."""


def thinking_header(seconds: float, count: int) -> str:
    """Return the header of finished thinking: `Thought 14 s · 612 tok · 43 tok/s`."""
    return formatting.SEPARATOR.join([formatting.format_thinking(seconds, count), *_speed(seconds, count)])


def live_header(key: str, seconds: float, count: int) -> str:
    """Return the header of what the model is doing: `Thinking 3 s · 129 tok · 43 tok/s`."""
    parts = [t(key, duration=formatting.format_duration(seconds)), formatting.format_token_count(count)]
    return formatting.SEPARATOR.join([*parts, *(_speed(seconds, count) if seconds >= 1 else ())])


def _speed(seconds: float, count: int) -> list[str]:
    return [formatting.format_speed(count / seconds)] if seconds > 0 and count else []


def role_header(role: Role, meta: MessageMeta | None = None) -> str:
    """Return the name of the speaker: for a reply its model where known, with adapters or its server."""
    if role is Role.ASSISTANT and meta is not None and meta.model:
        model = " + ".join((meta.model, *(meta.adapters or ())))
        is_served = meta.engine not in (None, LOCAL_ENGINE_NAME)
        return f"{model}{formatting.SEPARATOR}{meta.engine}" if is_served else model
    return formatting.role_name(role)


def message_header(stored: StoredMessage) -> str:
    """Return the name of the speaker, with the tag that the app appended: nobody typed it."""
    tag = stored.message.mode_tag
    name = role_header(stored.message.role, stored.meta)
    return name if tag is None else f"{name}{formatting.SEPARATOR}{tag.tag}"


def versioned_header(stored: StoredMessage, versions: MessageVersions) -> str:
    """Return the header of a message with the number of this version and how many there are."""
    count = t("ui.status.variant", shown=versions.shown_index + 1, count=versions.count)
    return formatting.SEPARATOR.join((message_header(stored), count))


def unstored_question(text: str) -> StoredMessage:
    """Return a message that the user has sent and that has no id yet."""
    question = ChatMessage(Role.USER, text)
    return StoredMessage(0, 0, None, question, MessageMeta(), datetime.fromtimestamp(0, UTC))


def entry_from_message(stored: StoredMessage, paths: ResultPaths, *, is_stored: bool = True) -> MessageEntry:
    """Return the entry of a message, with a note where its end could not be stored or shown."""
    message, meta = stored.message, stored.meta
    if message.role is Role.TOOL:
        return result_entry(stored, message_note(stored, is_stored=is_stored) or _result_note(stored, paths))
    usage, timings = meta.usage or Usage(), meta.timings or Timings()
    return MessageEntry(
        role=message.role.value,
        answer=_shown_content(message),
        has_calls=bool(message.tool_calls),
        reasoning=message.reasoning,
        header=message_header(stored),
        reasoning_header=thinking_header(timings.reasoning_s, usage.reasoning_tokens)
        if message.reasoning
        else "",
        note=message_note(stored, is_stored=is_stored),
        key=stored.id or None,
    )


def _result_note(stored: StoredMessage, paths: ResultPaths) -> str:
    """Return the note below a result, with the key that lists the files that it names."""
    note = result_note(stored, paths)
    hint = t("ui.tool.files_hint") if FILES_WRITTEN in stored.message.content else ""
    return formatting.SEPARATOR.join(filter(None, (note, note and hint)))


def message_note(stored: StoredMessage, *, is_stored: bool = True) -> str:
    """Return the note below a message: how it was broken off, and that its end is not stored yet."""
    note = formatting.stop_advice(stored.message, stored.stop_reason, "ui.way_out.")
    parts = (note, "" if is_stored else t("ui.note.not_stored"))
    return formatting.SEPARATOR.join(filter(None, parts))


def entries_from_branch(
    branch: Sequence[StoredMessage], paths: ResultPaths, unstored: Collection[int] = ()
) -> list[MessageEntry]:
    """Return the entries of a branch; those of the messages whose ids are `unstored` say so.

    The messages that its latest reply was generated without are greyed, with a notice of the reason below.
    """
    meta = next((m.meta for m in reversed(branch) if m.message.role is Role.ASSISTANT), None)
    count = meta.left_out if meta is not None else 0
    entries = [*_entries(branch[count:], paths, unstored)]
    if meta is None or not count:
        return entries
    greyed = [
        replace(entry, dropped_note=t("ui.note.not_sent"))
        for entry in _entries(branch[:count], paths, unstored)
    ]
    sentence = t("ui.context.summary" if meta.summary else "ui.context.left_out", count=count)
    notice = MessageEntry(NOTICE, "\n\n".join(part for part in (sentence, meta.summary) if part))
    return [*greyed, notice, *entries]


def _entries(
    branch: Sequence[StoredMessage], paths: ResultPaths, unstored: Collection[int]
) -> Iterator[MessageEntry]:
    """Yield the entries of messages; a call without a result has a pane behind the results of its reply."""
    reply: StoredMessage | None = None
    results = list[StoredMessage]()
    for stored in (*branch, None):
        if stored is not None and stored.message.role is Role.TOOL:
            results.append(stored)
        else:
            left = calls_without_result(reply, results) if reply is not None else []
            yield from (call_entry(call, CallState.UNKNOWN) for call in left)
            reply, results = (stored if stored is not None and stored.message.tool_calls else None), []
        if stored is not None:
            yield entry_from_message(stored, paths, is_stored=stored.id not in unstored)


def _shown_content(message: ChatMessage) -> str:
    parts = (_with_attachment_lines(message), *map(code_markdown, message.tool_calls))
    return "\n\n".join(filter(None, parts))


def _with_attachment_lines(message: ChatMessage) -> str:
    """Return the typed text with one line per attachment, whose own text is long and known to the user."""
    typed, attachments = (
        split_attachments(message.content) if message.role is Role.USER else (message.content, ())
    )
    if not attachments:
        return typed
    lines = "\n".join(
        f"▤ {attachment.name}{formatting.SEPARATOR}{formatting.format_line_count(attachment.line_count)}  "
        for attachment in attachments
    )
    return "\n\n".join(part for part in (typed, lines) if part)


def welcome_entry(
    model: LoadedModel | None, models_folder: Path, advice: str = "", last_title: str = ""
) -> MessageEntry:
    """Return the welcome for the model in use, which is None while it loads.

    `advice` names a model that suits the machine better than the demo, `last_title` the chat to go on with.
    """
    lines = [t("ui.welcome.title"), ""]
    if model is not None and model.is_demo:
        lines += [t("ui.welcome.demo", parameters=format_parameter_count(model.parameters)), ""]
        lines += [t("ui.welcome.try"), t("ui.welcome.tools"), "", advice or t("ui.welcome.real"), ""]
        lines.append(t("ui.welcome.own", folder=models_folder))
    elif model is not None:
        name = model.title
        lines += [
            t("ui.welcome.model", name=name, n_ctx=model.n_ctx),
            "",
            t("ui.welcome.try"),
            t("ui.welcome.tools"),
        ]
    else:
        lines.append(t("ui.welcome.try"))
    if last_title:
        lines += ["", t("ui.welcome.last", title=_shorten_title(last_title))]
    return MessageEntry(NOTICE, "\n".join(lines))


def _shorten_title(title: str) -> str:
    return title if len(title) <= MAX_WELCOME_TITLE else f"{title[: MAX_WELCOME_TITLE - 1]}…"
