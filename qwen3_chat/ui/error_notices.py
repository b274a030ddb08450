"""Notices of errors, after which the app goes on; and the end of the app for those it can't survive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text
from textual.app import App
from textual.driver import Driver
from textual.widget import Widget
from textual.worker import WorkerFailed

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.interface_log import InterfaceLog, describe_failure_in
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe


class ReportingApp(App[None]):
    """An app that writes every failure that nobody foresaw to the log of the interface."""

    def __init__(self, interface_log: InterfaceLog | None, driver_class: type[Driver] | None) -> None:
        super().__init__(driver_class=driver_class)
        self._interface_log = interface_log

    def log_failure(self, error: BaseException) -> Path | None:
        """Write the traceback of an error to the log; return the log's file, None if it was not written."""
        return None if self._interface_log is None else self._interface_log.write_failure(error)

    def _handle_exception(self, error: Exception) -> None:
        """End the app because of an error in a handler, a timer or a worker; say so once, in a sentence.

        Textual would print the traceback with local variables, and so with the chat, which developers still
        get with `TEXTUAL=debug`.
        """
        cause = error.error if isinstance(error, WorkerFailed) else error
        log_path = self.log_failure(cause)
        first = self._exit_renderables[:1]
        super()._handle_exception(error)
        if "debug" not in self.features:
            sentence = describe_failure_in(t("task.app"), cause, log_path)
            self._exit_renderables = first or [Text(terminal_safe(sentence))]

    def _fatal_error(self) -> None:
        if "debug" in self.features:
            super()._fatal_error()
        else:
            self.bell()
            self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if "debug" in self.features:
            super()._print_error_renderables()
            return
        for renderable in self._exit_renderables:
            self.error_console.print(renderable, soft_wrap=True)  # a path that is wrapped can't be copied
        self._exit_renderables.clear()


def notify_failure(node: Widget, error: BaseException, task: str = "task.any") -> None:
    """Notify the user of an error in a task, named by its text; a bug is written to the log as well."""
    if isinstance(error, Qwen3ChatError):
        node.notify(str(error), severity="error")
        return
    app = node.app
    log_path = app.log_failure(error) if isinstance(app, ReportingApp) else None
    node.notify(describe_failure_in(t(task), error, log_path), severity="error", timeout=20)


@contextmanager
def notify_errors(node: Widget, task: str = "task.any") -> Iterator[None]:
    """Notify the user of any error inside; `task` is the key of the text that names what is done there.

    Every exception is caught, not only the expected ones: a bug in one action must not end the app, which
    holds the user's chat and draft.
    """
    try:
        yield
    except Exception as error:
        notify_failure(node, error, task)
