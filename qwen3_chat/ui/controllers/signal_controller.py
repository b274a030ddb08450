"""The terminal's title, its progress, and the notification of an answer while the window is elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic

from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.session import ChatSession
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.ui.controllers.controller import ChatView, Controller
from qwen3_chat.ui.terminal_signals import (
    BELL,
    notification_of,
    notification_sequence,
    progress_sequence,
    shows_progress,
    title_sequence,
)
from qwen3_chat.ui.turn_view import TurnPhase, TurnView
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

LONG_TURN_S = 8.0
"""A turn that takes longer is one that people turn away from."""


class SignalController(Controller):
    """The signals to the terminal; nothing of a chat is in them unless `terminal_title` allows it."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        turn: TurnView,
        write: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Write sequences by a function that may be called before the terminal is taken."""
        super().__init__(view, session, widgets)
        self._turn = turn
        self._write = write
        self._clock = clock
        self._title = ""
        """The title as written last; empty before the first, and once another program may have changed it."""
        self._began_s: float | None = None
        self._notification = notification_of(os.environ)
        self._shows_progress = shows_progress(os.environ)
        self._progress = ""

    def update(self) -> None:
        """Show the state of the chat; note when a turn began."""
        if self._view.is_answering and self._began_s is None:
            self._began_s = self._clock()
        settings = self._view.settings
        title = title_sequence(self._title_text())
        if settings.terminal_title != "off" and title != self._title:
            self._title = title
            self._write(title)
        if self._shows_progress and settings.notifications != "off":
            fraction = self._widgets.activity_line.activity.fraction if self._turn.is_busy else None
            progress = progress_sequence(fraction, is_running=self._turn.is_busy)
            if progress != self._progress and (self._progress or self._turn.is_busy):
                self._progress = progress
                self._write(progress)

    def turn_ended(self) -> None:
        """Notify of the end of a long turn, if the terminal reported that the window is elsewhere."""
        began_s, self._began_s = self._began_s, None
        if began_s is not None and self._clock() - began_s >= LONG_TURN_S:
            self.notify(t("ui.signal.done"))

    def notify(self, text: str) -> None:
        """Notify of something, if the window is elsewhere and the settings allow it."""
        choice = self._view.settings.notifications
        if self._screen.app.app_focus or choice == "off":
            return
        if self._shows_chat and self._session.chat is not None:
            text = f"{text} {self._session.chat.title}"
        self._write(BELL if choice == "bell" else notification_sequence(self._notification, APP_NAME, text))

    def shutdown(self) -> None:
        """End a progress that is shown."""
        if self._progress and self._progress != (ended := progress_sequence(None, is_running=False)):
            self._progress = ended
            self._write(ended)

    def forget_title(self) -> None:
        """Write the title again: another program had the terminal."""
        self._title = ""
        self.update()

    @property
    def _shows_chat(self) -> bool:
        return self._view.settings.terminal_title == "chat"

    def _title_text(self) -> str:
        phase = self._turn.phase
        key = f"ui.signal.{TurnPhase.STARTING if phase is TurnPhase.PREFILL else phase}"
        state = [] if phase is TurnPhase.IDLE else [t(key)]
        chat = [self._session.chat.title] if self._shows_chat and self._session.chat else []
        return SEPARATOR.join([*state, *chat, APP_NAME])
