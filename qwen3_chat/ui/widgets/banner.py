"""A line below the title for something that the user should know and can act on."""

from __future__ import annotations

from textual.widgets import Static

from qwen3_chat.texts.terminal_safe import terminal_safe


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
