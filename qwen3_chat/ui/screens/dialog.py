"""The base class of all dialogs, the screens over another one that open and close once."""

from __future__ import annotations

from typing import Any, TypeVar

from textual.screen import ModalScreen, Screen
from textual.worker import Worker

from qwen3_chat.ui.error_notices import notify_worker_failure
from qwen3_chat.ui.textual_compat import ClosingScreen

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT], ClosingScreen[ResultT]):
    """A screen over another one; its children are attributes made with it.

    So no key finds one of them missing while the dialog opens or closes.
    """

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Notify the user of the failure of a worker."""
        notify_worker_failure(self, event)


async def show_dialog(screen: Screen[Any], dialog: Dialog[ResultT]) -> ResultT | None:
    """Show a dialog over a screen and return its result; None if something else covers the screen already.

    The dialog covers the screen before anything else can happen, so a second key press opens no second one.
    """
    if screen.app.screen_stack[-1:] != [screen]:
        return None
    return await screen.app.push_screen(dialog, wait_for_dismiss=True)
