"""The base of all dialogs: screens over another one that open once and close once."""

from __future__ import annotations

from typing import Any, TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT]):
    """Closes only while nothing lies over it: of two quick presses the first counts."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close with a result; without this check the screen that lies above would be closed instead."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()


async def show_dialog(screen: Screen[Any], dialog: Dialog[ResultT]) -> ResultT | None:
    """Show a dialog over a screen for its result; none where something else has covered the screen before."""
    if screen.app.screen is not screen:
        return None
    return await screen.app.push_screen_wait(dialog)
