"""The form of an MCP server as plain lines: a word chooses, then each field is a line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qwen3_chat.errors import UsageError
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormField, FormRequested, FormValue, parse_value
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

FILL, DONE, SEND, CANCEL = "fill", "done", "send", "cancel"


class FormLines:
    """The forms of servers; `read_line` returns None where the user stops the turn."""

    def __init__(self, write_line: Callable[[str], None], read_line: Callable[[str], str | None]) -> None:
        self._write_line = write_line
        self._read_line = read_line

    async def fill(self, request: FormRequested) -> FormAnswer:
        """Have the user fill a form, or say whether they will visit an address, which is not opened.

        Raises:
            CancelledError: the user stopped the turn.
        """
        self._write_line(t("mcp.form.title", name=request.server))
        if request.message:
            self._write_line(request.message)
        if request.url:
            self._write_line(t("linear.form.visit"))
            self._write_line(terminal_safe(request.url))
            if request.is_sign_in:
                return self._signed_in()
            self._write_line(t("linear.form.choose_visited"))
            action = self._choose({DONE: FormAction.ACCEPT})
            return FormAnswer(action)
        self._write_line(t("mcp.form.warning", name=request.server))
        self._write_line(t("linear.form.choose"))
        if (action := self._choose({FILL: FormAction.ACCEPT})) is not FormAction.ACCEPT:
            return FormAnswer(action)
        content = dict[str, FormValue]()
        for field in request.fields:
            value = self._value(field)
            if value is not None:
                content[field.name] = value
        self._write_line(t("linear.form.send", name=request.server))
        action = self._choose({SEND: FormAction.ACCEPT})
        return FormAnswer(action, content if action is FormAction.ACCEPT else {})

    def _signed_in(self) -> FormAnswer:
        """Return that the user has signed in, with the address at which their browser ended if need be."""
        self._write_line(t("linear.form.choose_signed_in"))
        while True:
            typed = self._read(t("linear.form.prompt")).strip()
            if typed in (DONE, CANCEL):
                return FormAnswer(FormAction.ACCEPT if typed == DONE else FormAction.CANCEL)
            if typed.startswith("http://"):
                return FormAnswer(FormAction.ACCEPT, {"address": typed})
            self._write_line(t("linear.consent.unknown"))

    def _choose(self, words: dict[str, FormAction]) -> FormAction:
        words = {**words, "decline": FormAction.DECLINE, CANCEL: FormAction.CANCEL}
        while True:
            word = self._read(t("linear.form.prompt")).strip()
            if word in words:
                return words[word]
            self._write_line(t("linear.consent.unknown"))

    def _value(self, field: FormField) -> FormValue | None:
        line = t("linear.form.field", title=field.title, expected=field.expected)
        if field.default:
            line = t("linear.form.default", line=line, default=field.first_text)
        elif not field.is_required:
            line = t("linear.form.optional", line=line)
        self._write_line(line)
        if field.about:
            self._write_line(field.about)
        while True:
            typed = self._read(t("linear.form.value")) or field.first_text
            try:
                return parse_value(field, typed)
            except UsageError as error:
                self._write_line(terminal_safe(str(error)))

    def _read(self, prompt: str) -> str:
        if (typed := self._read_line(prompt)) is None:
            raise asyncio.CancelledError
        return typed
