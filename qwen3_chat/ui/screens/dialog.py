"""The base class of all dialogs, the screens over another one that open and close once."""

from __future__ import annotations

from typing import Any, TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT]):
    """A screen over another one that closes only while nothing covers it.

    Of two quick key presses only the first has an effect.
    """

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close with a result; without this check Textual would close the screen that covers this one."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()


async def show_dialog(screen: Screen[Any], dialog: Dialog[ResultT]) -> ResultT | None:
    """Show a dialog over a screen and return its result; None if something else covers the screen already."""
    if screen.app.screen is not screen:
        return None
    return await screen.app.push_screen_wait(dialog)
