"""The versions of each message of the open branch, and the switch to another one."""

from __future__ import annotations

from collections.abc import Callable

from qwen3_chat.session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.message_versions import BranchVersions, MessageVersions
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.message_entries import versioned_header
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class VersionController(Controller):
    """The versions as read from the store last, in the order in which they were written."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        turns: TurnController,
        chat_tree: ChatTree,
    ) -> None:
        super().__init__(view, session, widgets)
        self._turns = turns
        self._chat_tree = chat_tree
        self.branch_versions = BranchVersions()
        self.is_anonymous: Callable[[int], bool] = lambda message_id: False
        """A function that tells whether the model of a message stays hidden."""

    @property
    def chosen(self) -> MessageVersions:
        """The versions of the marked message, or of the end of the chat if none is marked."""
        marked = self._widgets.transcript.marked
        if marked is None:
            return self.branch_versions.for_latest
        return self.branch_versions.for_message(marked)

    def other(self, step: int) -> int | None:
        """Return the version that a step leads to; None where there is none."""
        if self._widgets.transcript.marked is None:
            return self.branch_versions.latest_at_step(step)
        return self.chosen.id_at_step(step)

    def forget(self) -> None:
        """Forget the versions of a chat that is left."""
        self.branch_versions = BranchVersions()

    async def reread(self) -> None:
        """Count the versions of each message, for the headers and for the keys that switch between them."""
        branch = self._session.chat_id, self._session.messages
        versions = await self._chat_tree.versions()
        if (self._session.chat_id, self._session.messages) != branch:
            return  # another branch was opened meanwhile, with versions of its own
        self.branch_versions = versions
        self.show_counts()
        self._screen.refresh_bindings()

    def show_counts(self) -> None:
        """Write the version and the count into the headers, except where the name stays hidden."""
        headers = {
            stored.id: versioned_header(stored, versions)
            for stored in self._session.messages
            if (versions := self.branch_versions.for_message(stored.id)).count
        }
        anonymous = {stored.id for stored in self._session.messages if self.is_anonymous(stored.id)}
        self._widgets.transcript.retitle(headers | dict.fromkeys(anonymous, t("ui.compare.hidden")))

    @in_worker("version")
    async def switch(self, step: int) -> None:
        """Show another version of the marked message, or else of the latest one with several.

        The mark moves to the version that is shown.
        """
        async with self._turns.navigation_lock:
            other = self.other(step)
            if other is None or self._turns.is_answering:
                return
            is_marked = self._widgets.transcript.marked is not None
            with notify_errors(self._screen, "task.versions"):
                await self._session.show_version(other)
                await self.reread()
                self._view.show_chat()
                if is_marked:
                    self._widgets.transcript.mark(other)
