"""A line below the title for what the user should know and can do something about."""

from __future__ import annotations

from textual.widgets import Static

from qwen3_chat.texts.terminal_safe import terminal_safe


class Banner(Static):
    """Takes no room while there is nothing to say; a click takes it away."""

    DEFAULT_CSS = """
    Banner {
        display: none;
        height: auto;
        max-height: 2;
        padding: 0 2;
        background: $warning 20%;
        color: $text-warning;
        &.-said { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def set_text(self, text: str) -> None:
        """Show a sentence; an empty one takes the line away."""
        self.update(terminal_safe(text))
        self.set_class(bool(text), "-said")

    def on_click(self) -> None:
        """Take the line away."""
        self.set_text("")
