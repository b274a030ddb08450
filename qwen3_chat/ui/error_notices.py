"""Notices of errors, after which the app goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.widget import Widget

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.texts import t


@contextmanager
def notify_errors(node: Widget) -> Iterator[None]:
    """Notify the user of any error inside.

    Every exception is caught, not only the expected ones: a bug in one action must not end the app, which
    holds the user's chat and draft.
    """
    try:
        yield
    except Qwen3ChatError as error:
        node.notify(str(error), severity="error")
    except Exception as error:
        node.log.error(error)
        node.notify(t("ui.notice.bug", error=repr(error)), severity="error", timeout=20)
