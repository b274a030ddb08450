"""The base class of all dialogs, the screens over another one that open and close once."""

from __future__ import annotations

from typing import Any, TypeVar

from textual import events
from textual.screen import ModalScreen, Screen
from textual.widgets import Static
from textual.worker import Worker

from qwen3_chat.texts import t
from qwen3_chat.ui.error_notices import notify_worker_failure
from qwen3_chat.ui.textual_compat import ClosingScreen

MIN_DIALOG_COLUMNS, MIN_DIALOG_ROWS = 40, 12
SHORT_DIALOG_ROWS = 16

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT], ClosingScreen[ResultT]):
    """A screen over another one; its children are attributes made with it.

    So no key finds one of them missing while the dialog opens or closes. It has the class `-short` where the
    terminal has few rows. In a terminal that is too small for any dialog, a sentence says so instead.
    """

    CLOSES_BY_CLICK = True
    """False where a click beside the dialog would discard what was typed, or answer a question."""
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (MIN_DIALOG_ROWS, "-short"), (SHORT_DIALOG_ROWS, "-tall")]
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (MIN_DIALOG_COLUMNS, "-wide")]
    DEFAULT_CSS = """
    Dialog {
        #too-small { display: none; width: 100%; height: 100%; padding: 0 1; background: $surface; }
        &.-flat > *, &.-thin > * { display: none; }
        &.-flat > #too-small, &.-thin > #too-small { display: block; }
    }
    """

    def on_mount(self) -> None:
        """Add the sentence for small terminals."""
        text = t("ui.too_small", columns=MIN_DIALOG_COLUMNS, rows=MIN_DIALOG_ROWS)
        self.mount(Static(text, id="too-small", markup=False))

    def on_click(self, event: events.Click) -> None:
        """Close by a click beside the dialog, as Esc does."""
        at_click = self.get_widget_at(*event.screen_offset)[0]
        if at_click is self and self.CLOSES_BY_CLICK:
            event.stop()
            self.call_later(self.run_action, "close")

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
