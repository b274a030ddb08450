"""The part that the drivers have in common: events reach the app no faster than it handles them."""

from __future__ import annotations

from asyncio import run_coroutine_threadsafe
from concurrent.futures import Future
from threading import Event
from typing import Any

from textual.app import App, ScreenStackError
from textual.driver import Driver
from textual.message import Message

MAX_WAITING_EVENTS = 64
BUSY_POLL_S = 0.01


class SteadyInput(Driver):
    """A driver whose reading thread waits for the app.

    Textual posts each event at once, however many wait. We know of no upstream issue.
    """

    exit_event: Event
    """Set once the reading thread is to end; the drivers of Textual make it."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._sent: list[Future[bool]] = []

    def _pass_on(self, event: Message) -> None:
        """Pass an event on once the app has handled the most of those before.

        What nobody handles yet stays with the system, which makes the terminal wait. Otherwise megabytes of
        keys would stand before the next event, each of them hundreds of bytes in size.
        """
        while self._count_waiting_events() > MAX_WAITING_EVENTS and not self.exit_event.wait(BUSY_POLL_S):
            pass
        self.process_message(event)

    def _count_waiting_events(self) -> int:
        """Count the events that the event loop, the app, its screen and the focused widget have to handle."""
        self._sent = [future for future in self._sent if not future.done()]
        try:
            nodes = [self._app, self._app.screen, self._app.focused]
        except ScreenStackError:
            return len(self._sent)
        return len(self._sent) + sum(node._message_queue.qsize() for node in nodes if node is not None)

    def send_message(self, message: Message) -> None:
        """Send a message to the app, from the reading thread."""
        self._sent.append(run_coroutine_threadsafe(self._app._post_message(message), self._loop))

    def _report(self, error: Exception) -> None:
        """Write an error to the app's log, if it has one."""
        self._app.call_later(getattr(self._app, "log_failure", lambda _: None), error)
