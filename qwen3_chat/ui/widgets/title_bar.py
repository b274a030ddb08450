"""The top line: the chat's title, its options, the app's name."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from qwen3_chat.texts.terminal_safe import terminal_safe

NAME = "qwen3-chat"


class TitleBar(Widget):
    """One row; a long title ends in an ellipsis."""

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
    """What differs from the presets in this chat; left out where there is no room."""

    def render(self) -> RenderResult:
        """Draw the title on the left, the name on the right, the note beside the title."""
        room = max(1, self.content_size.width - len(NAME) - 2)
        title = Content(terminal_safe(self.title)).truncate(room, ellipsis=True)
        style = self.get_visual_style("title-bar--name")
        if self.note and (left := room - title.cell_length - 3) > 8:
            title = Content.assemble(title, "   ", (self.note, style)).truncate(
                title.cell_length + 3 + left, ellipsis=True
            )
        gap = " " * (self.content_size.width - title.cell_length - len(NAME))
        return Content.assemble(title, gap, (NAME, style))
