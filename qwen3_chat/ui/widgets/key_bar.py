"""The bottom line with the keys that work now, as many as fit."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from qwen3_chat.texts import t
from qwen3_chat.ui.key_bindings import LABEL_PREFIX, short_key_name


class KeyBar(Widget):
    """The active bindings in the order in which they are declared; a click on one is its key."""

    COMPONENT_CLASSES = {"key-bar--key", "key-bar--label"}
    DEFAULT_CSS = """
    KeyBar {
        height: 1;
        padding: 0 1;
        background: $panel;
        .key-bar--key { color: $primary; text-style: bold; }
        .key-bar--label { color: $foreground 75%; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[range, Binding]] = []
        """The columns of each key that is shown."""
        self.tooltip = t("ui.tip.key_bar")

    def on_mount(self) -> None:
        """Subscribe to changes of the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._update)

    def _update(self, _screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        """Draw whole entries only, the way out in any case; the help has the keys that do not fit."""
        key_style = self.get_visual_style("key-bar--key")
        label_style = self.get_visual_style("key-bar--label")
        line, reserved = Content(""), 0
        self._places = []
        bindings = self._shown_bindings()
        way_out = next((binding for binding in reversed(bindings) if binding.key == "escape"), None)
        for binding in bindings:
            entry = Content.assemble(
                (short_key_name(binding.key), key_style), " ", (t(binding.description), label_style)
            )
            longer = line + Content("  ") + entry if line else entry
            if binding is way_out:
                reserved = 0
                way_out = None
            elif way_out is not None:
                reserved = 2 + cell_len(f"{short_key_name(way_out.key)} {t(way_out.description)}")
            if longer.cell_length + reserved > self.content_size.width:
                continue
            begin = longer.cell_length - entry.cell_length
            self._places.append((range(begin, longer.cell_length), binding))
            line = longer
        return line

    async def on_click(self, event: events.Click) -> None:
        """Run the action whose key was clicked."""
        offset = event.get_content_offset(self)
        for columns, binding in self._places:
            if offset is not None and offset.x in columns:
                event.stop()
                self.call_later(self.app.simulate_key, binding.key)

    def _shown_bindings(self) -> list[Binding]:
        """Return the bindings to show, each once, as they are declared from the focus up to the app."""
        nodes = self.screen.focused.ancestors_with_self if self.screen.focused else (self.screen, self.app)
        bindings = [binding for node in nodes for binding in node.BINDINGS if isinstance(binding, Binding)]
        hidden: Collection[str] = getattr(self.screen, "keys_not_offered", ())
        order = {bindings[index].id: index for index in reversed(range(len(bindings)))}
        first: dict[str | None, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.id in hidden:
                continue
            if active.enabled and active.binding.show and active.binding.description.startswith(LABEL_PREFIX):
                first.setdefault(active.binding.id, active.binding)
        return sorted(first.values(), key=lambda binding: order[binding.id])
