"""The line above the input with what the engine is doing."""

from __future__ import annotations

from msgspec import Struct
from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

BAR_CELLS = 20


class Activity(Struct, frozen=True):
    """The engine's activity: its text, its progress from 0 to 1 if known, a hint of what the user can do."""

    text: str = ""
    fraction: float | None = None
    hint: str = ""


class ActivityLine(Widget):
    """One row with the activity, empty while there is none."""

    COMPONENT_CLASSES = {"activity-line--bar", "activity-line--rail", "activity-line--hint"}
    DEFAULT_CSS = """
    ActivityLine {
        height: 1;
        padding: 0 2;
        color: $text-accent;
        .activity-line--bar { color: $accent; }
        .activity-line--rail { color: $foreground 20%; }
        .activity-line--hint { color: $foreground 68%; }
    }
    """

    activity: reactive[Activity] = reactive(Activity())
    badge: reactive[str] = reactive("")
    """A text at the right end, independent of the activity."""

    def render(self) -> RenderResult:
        """Draw the text, the bar, the hint if there is room, and the badge."""
        activity = self.activity
        line = Content(activity.text)
        if activity.fraction is not None:
            done = round(min(1.0, max(0.0, activity.fraction)) * BAR_CELLS)
            line = Content.assemble(
                line,
                "  ",
                ("━" * done, self.get_visual_style("activity-line--bar")),
                ("━" * (BAR_CELLS - done), self.get_visual_style("activity-line--rail")),
                f" {activity.fraction:.0%}",
            )
        if activity.hint and line.cell_length + 3 + cell_len(activity.hint) <= self.content_size.width:
            line += Content.styled(f"   {activity.hint}", self.get_visual_style("activity-line--hint"))
        if self.badge:
            gap = self.content_size.width - line.cell_length - cell_len(self.badge)
            line += Content(" " * max(1, gap) + self.badge)
        return line
