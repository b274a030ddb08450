"""The reader's part of the chat screen: scroll, fold, copy, open links; more or less animation."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.events import Key, Paste, ScreenResume

from qwen3_chat.texts import t
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets
from qwen3_chat.ui.widgets.transcript import UPDATE_INTERVAL_S, Transcript, TranscriptScreen

TICK_S, REDUCED_TICK_S = 0.25, 2.0
"""The interval at which elapsed times are updated, with full and with reduced animation."""
UPDATE_S, REDUCED_UPDATE_S = UPDATE_INTERVAL_S, 1.0
"""The interval at which more of a live reply is shown, with full and with reduced animation."""


class ReadingScreen(TranscriptScreen[None]):
    """A screen on which one scrolls, folds, copies and opens links while the input keeps the focus."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (10, "-tall")]
    AUTO_FOCUS = "ChatInput"  # not the first one, which is in the sidebar

    def __init__(self, widgets: ChatWidgets) -> None:
        super().__init__()
        self.widgets = widgets
        self.transcript, self.input, self.sidebar = widgets.transcript, widgets.input, widgets.sidebar
        self._was_shown = False

    def compose(self) -> ComposeResult:
        """Lay out the sidebar, then the widgets of the chat from top to bottom, with styles for this size."""
        # Textual sets these classes at the first resize, after the first frame, and styles everything anew.
        width, height = self.app.size
        for size, breakpoints in (width, self.HORIZONTAL_BREAKPOINTS), (height, self.VERTICAL_BREAKPOINTS):
            reached = max(breakpoint for breakpoint in breakpoints if breakpoint[0] <= size)
            self.add_class(reached[1], update=False)
        yield from self.widgets

    @on(ScreenResume)
    def keep_first_styles(self, event: ScreenResume) -> None:
        """Keep the styles that the widgets got when they were mounted, the first time."""
        if not self._was_shown:
            self._was_shown, event.refresh_styles = True, False

    def on_key(self, event: Key) -> None:
        """Notify of a disabled key; pass typed text to the input, wherever the focus is, unless it is off."""
        active = self.active_bindings.get(event.key)
        if active is not None and not active.enabled and active.binding.id:
            self.notify(t("ui.notice.busy"))
            event.stop()
        elif event.is_printable and event.character and not self.input.has_focus:
            event.stop()
            if not self.input.disabled:
                self.input.focus()
                self.input.insert(event.character)

    def on_paste(self, event: Paste) -> None:
        """Pass pasted text to the input, wherever the focus is, unless it is off."""
        if not self.input.has_focus and not self.input.disabled:
            self.input.focus()
            self.input.paste(event.text)
            event.stop()

    @on(Transcript.FollowChanged)
    def show_badge(self, message: Transcript.FollowChanged) -> None:
        """Show a badge for a reader who is not at the end while there is new text below."""
        self.widgets.activity_line.badge = t("ui.new_text") if message.unseen else ""

    @on(Transcript.CopyRequested)
    def copy_source(self, message: Transcript.CopyRequested) -> None:
        """Copy the source of a message or of a code block."""
        self.app.copy_to_clipboard(message.text)

    @on(Transcript.LinkClicked)
    def open_link(self, message: Transcript.LinkClicked) -> None:
        """Open a web page; other links of a model are not opened."""
        if message.url.startswith(("https://", "http://")):
            self.app.open_url(message.url)

    def action_fold(self) -> None:
        """Fold or unfold the thinking pane nearest to the reader."""
        self.transcript.toggle_thinking()

    def action_fold_all(self) -> None:
        """Fold or unfold all thinking panes."""
        self.transcript.toggle_all_thinking()

    def action_formulas(self) -> None:
        """Show the source of formulas, or draw them again."""
        self.transcript.draws_formulas = not self.transcript.draws_formulas

    def action_page_up(self) -> None:
        """Scroll one page up while the input keeps the focus."""
        self.transcript.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Scroll one page down while the input keeps the focus."""
        self.transcript.scroll_page_down(animate=False)

    def action_to_start(self) -> None:
        """Scroll to the beginning of the chat."""
        self.transcript.scroll_home(animate=False)

    def action_to_end(self) -> None:
        """Scroll to the end of the chat."""
        self.transcript.scroll_end(animate=False)

    def set_animation(self, *, reduced: bool) -> None:
        """Set the animation of the cursor, of scrolling and of live replies."""
        self.app.animation_level = "none" if reduced else "full"
        self.input.cursor_blink = not reduced
        self.transcript.update_interval_s = REDUCED_UPDATE_S if reduced else UPDATE_S
