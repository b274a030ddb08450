"""The lower part of the model screen: why, in which quants, with how much context, in how much memory."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static


class ModelDetail(Vertical):
    """A paragraph and four lines that are always there, so that nothing jumps."""

    DEFAULT_CSS = """
    ModelDetail {
        height: 8;
        padding: 0 1;
        background: $surface;
        border-top: solid $primary 40%;
        Static { height: 1; }
        #model-reason { height: 3; }
        #model-said { color: $accent; }
    }
    """
    NAMES = ("reason", "quants", "context", "memory", "said")

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        for name in self.NAMES:
            yield Static(id=f"model-{name}", markup=False)

    def show(self, **lines: Content | str) -> None:
        """Set the lines; what isn't given is empty."""
        for name in self.NAMES:
            self.query_one(f"#model-{name}", Static).update(lines.get(name, ""))
