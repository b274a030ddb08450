"""Notices of errors, after which the app goes on; and the end of the app for those it can't survive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textual.widget import Widget
from textual.worker import Worker, WorkerState

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.interface_log import InterfaceLog, describe_failure_in
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.textual_compat import Driver, SentenceApp


class ReportingApp(SentenceApp):
    """An app that writes every failure that nobody foresaw to the log of the interface."""

    def __init__(self, interface_log: InterfaceLog | None, driver_class: type[Driver] | None) -> None:
        super().__init__(driver_class=driver_class)
        self._interface_log = interface_log

    def log_failure(self, error: BaseException) -> Path | None:
        """Write the traceback of an error to the log; return the log's file, None if it was not written."""
        return None if self._interface_log is None else self._interface_log.write_failure(error)

    def describe_end(self, error: BaseException) -> str:
        """Log the error that ends the app; return the sentence about it."""
        return terminal_safe(describe_failure_in(t("task.app"), error, self.log_failure(error)))


def notify_failure(node: Widget, error: BaseException, task: str = "task.any") -> None:
    """Notify the user of an error in a task, named by its text; a bug is written to the log as well."""
    if isinstance(error, Qwen3ChatError):
        node.notify(str(error), severity="error")
        return
    app = node.app
    log_path = app.log_failure(error) if isinstance(app, ReportingApp) else None
    node.notify(describe_failure_in(t(task), error, log_path), severity="error", timeout=20)


def notify_worker_failure(node: Widget, event: Worker.StateChanged) -> None:
    """Notify the user of a worker that failed and must not end the app; Textual would drop that silently."""
    worker = event.worker
    if event.state is WorkerState.ERROR and not worker.exit_on_error and worker.error is not None:
        notify_failure(node, worker.error)


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
