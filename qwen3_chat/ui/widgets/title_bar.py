"""The top lines: the chat's title, its options and the app's name, then a warning if there is one."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.texts.terminal_safe import terminal_safe


class TitleBar(Widget):
    """One row with the title, of which a long one ends in an ellipsis."""

    COMPONENT_CLASSES = {"title-bar--name"}
    DEFAULT_CSS = """
    TitleBar {
        height: 1;
        padding: 0 2;
        background: $panel;
        color: $foreground;
        .title-bar--name { color: $foreground 68%; }
    }
    """

    title: reactive[str] = reactive("")
    note: reactive[str] = reactive("")
    """The options of the chat that differ from the presets; left out where there is no room."""

    def render(self) -> RenderResult:
        """Draw the title with the note on the left and the app's name on the right."""
        room = max(1, self.content_size.width - len(APP_NAME) - 2)
        title = Content(terminal_safe(self.title)).truncate(room, ellipsis=True)
        style = self.get_visual_style("title-bar--name")
        if self.note and (left := room - title.cell_length - 3) > 8:
            title = Content.assemble(title, "   ", (self.note, style)).truncate(
                title.cell_length + 3 + left, ellipsis=True
            )
        gap = " " * (self.content_size.width - title.cell_length - len(APP_NAME))
        return Content.assemble(title, gap, (APP_NAME, style))


class Banner(Static):
    """A warning that takes no room while it is empty; a click removes it."""

    DEFAULT_CSS = """
    Banner {
        display: none;
        height: auto;
        max-height: 2;
        padding: 0 2;
        background: $warning 20%;
        color: $text-warning;
        &.-filled { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def set_text(self, text: str) -> None:
        """Show a sentence; an empty one hides the line."""
        self.update(terminal_safe(text))
        self.set_class(bool(text), "-filled")

    def on_click(self) -> None:
        """Hide the line."""
        self.set_text("")
