"""The detail of the model picker's highlighted line, below the list."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

LOW_ROWS = 20
"""The rows of a terminal below which the line about the machine is cut, so that the list keeps its rows."""


class ModelDetail(Vertical):
    """The detail of the highlighted line: a paragraph and five lines, always there, so that nothing moves."""

    DEFAULT_CSS = """
    ModelDetail {
        height: 9;
        padding: 0 1;
        background: $surface;
        border-top: solid $primary 40%;
        Static { height: 1; }
        #model-reason { height: 3; }
        #model-draft { text-wrap: nowrap; text-overflow: ellipsis; }
        #model-status { color: $accent; }
    }
    """
    NAMES = ("reason", "quants", "context", "draft", "memory", "status")

    def __init__(self) -> None:
        super().__init__()
        self._lines = {name: Static(id=f"model-{name}", markup=False) for name in self.NAMES}

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        yield from self._lines.values()

    def show(self, **lines: Content | str) -> None:
        """Set the lines; those not given become empty."""
        for name, line in self._lines.items():
            line.update(lines.get(name, ""))
