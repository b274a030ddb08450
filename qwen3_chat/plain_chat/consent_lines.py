"""The question whether a call may run, as plain lines: one word answers, and no empty line does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qwen3_chat.errors import UsageError
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import either
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest
from qwen3_chat.tools.permissions import PermissionScope
from qwen3_chat.tools.shown_arguments import show_arguments
from qwen3_chat.tools.tool_runner import edit_request

ONCE, DENY, EDIT = "once", "deny", "edit"
SCOPE_WORDS = {
    PermissionScope.TOOL: "chat",
    PermissionScope.ARGUMENTS: "always",
    PermissionScope.HOST: "host",
    PermissionScope.FOLDER: "folder",
}
"""The word that gives a permission, by its scope."""


class ConsentLines:
    """The questions whether calls may run; `read_line` returns None where the user stops the turn."""

    def __init__(self, write_line: Callable[[str], None], read_line: Callable[[str], str | None]) -> None:
        self._write_line = write_line
        self._read_line = read_line

    async def ask(self, request: ConsentRequest) -> ConsentAnswer:
        """Ask the user about a call until one of the words is typed.

        Raises:
            CancelledError: the user stopped the turn.
        """
        first = request
        self._write_request(request)
        while True:
            typed = self._read_line(t("linear.consent.prompt", words=_words(request)))
            if typed is None:
                raise asyncio.CancelledError
            word, _, rest = typed.strip().partition(" ")
            permissions = {SCOPE_WORDS[permission.scope]: permission for permission in request.permissions}
            if word == DENY:
                return ConsentAnswer(is_allowed=False, reason=rest.strip())
            if word == EDIT and rest and request.can_edit:
                try:
                    request = await edit_request(first, rest)
                except UsageError as error:
                    self._write_line(terminal_safe(str(error)))
                else:
                    self._write_request(request)
            elif not rest and (word == ONCE or word in permissions):
                arguments = None if request is first else request.call.arguments
                permission = permissions.get(word)
                if permission is not None and permission.scope is not PermissionScope.TOOL:
                    self._write_line(t("linear.consent.kept", name=label_of_name(permission.tool)))
                return ConsentAnswer(is_allowed=True, arguments=arguments, permission=permission)
            else:
                self._write_line(t("linear.consent.unknown"))

    def _write_request(self, request: ConsentRequest) -> None:
        name, write_line = label_of_name(request.label), self._write_line
        title = request.text_key("linear.consent.", "title")
        write_line(t(title, name=name, number=request.number, count=request.count))
        write_line(show_arguments(request.call.arguments) or t("ui.consent.no_arguments"))
        if request.caution is not None:
            write_line(t(f"ui.consent.{request.caution}"))
        if request.call.is_repaired:
            write_line(t("ui.consent.repaired"))
        write_line(f"{ONCE}: {t(request.text_key('ui.consent.', 'once'))}")
        for permission in request.permissions:
            key = request.text_key("ui.consent.", permission.scope)
            sentence = t(key, name=name, limit=label_of_name(permission.value))
            write_line(f"{SCOPE_WORDS[permission.scope]}: {sentence}")
        write_line(f"{DENY}: {t(request.text_key('linear.consent.', 'deny'))}")
        if request.can_edit:
            write_line(f"{EDIT}: {t('linear.consent.edit')}")


def _words(request: ConsentRequest) -> str:
    """Return the words that answer now."""
    given = [SCOPE_WORDS[permission.scope] for permission in request.permissions]
    words = [ONCE, *given, DENY, *([EDIT] if request.can_edit else [])]
    return either(words)
