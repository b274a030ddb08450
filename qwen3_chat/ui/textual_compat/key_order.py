"""Keys that act in the order in which they were pressed, however fast they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.widget import Widget

MAX_WAIT_S = 0.3
"""The longest that a key waits for those before it: a widget that hangs must not take the keyboard away."""

MAX_HELD_KEYS = 64


class KeysInOrder(App[Any]):
    """An app whose keys wait for the keys before them.

    Textual runs the action of a priority key as soon as the app gets it. Any other key goes to the focused
    widget first and from there up to the app, from queue to queue, which its successor does not wait for. So
    Down and Enter that arrive together, as a slow connection delivers them, chose the row above, the end of a
    typed value was missing from what Ctrl+S saved, and what came after Tab was typed into the field before.
    We follow such a key along its way by callbacks in the same queues, and hold the next ones back. Text that
    the focused widget takes runs no action and moves no focus: what follows it goes on at once, unless it is
    a priority key. `_binding_chain` tells which keys those are, and `is_forwarded` which keys were passed on.
    We know of no upstream issue.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._held: deque[events.Event] = deque()
        self._on_way: dict[int, float] = {}
        """The times at which keys were passed on that are still on their way, by their numbers."""
        self._typed_into: Widget | None = None
        """The widget that got text which nothing has followed."""
        self._key_numbers = count()

    @property
    def takes_input(self) -> bool:
        """True while there is something that input can go to."""
        return self.is_running

    async def on_event(self, event: events.Event) -> None:
        """Process an event; a key, a paste or another focus of the window after those that came before."""
        is_change = isinstance(event, events.AppFocus | events.AppBlur)
        if not is_change and (not isinstance(event, events.Key | events.Paste) or event.is_forwarded):
            await super().on_event(event)
            return
        self._held.append(event)
        await self._process_held()

    async def _process_held(self) -> None:
        """Process the held keys up to one that has to wait."""
        while self._held:
            if not self.takes_input:
                self._held.clear()
                return
            event = self._held[0]
            if len(self._held) <= MAX_HELD_KEYS and self._has_to_wait(event):
                self.set_timer(MAX_WAIT_S, self._process_held)
                return
            self._held.popleft()
            target: Widget = self.focused or self.screen
            is_typed = not isinstance(event, events.Key) or target.check_consume_key(
                event.key, event.character
            )
            await super().on_event(event)
            if event.is_forwarded and is_typed:
                self._typed_into = target
            elif event.is_forwarded:
                self._follow_from(target)

    def _has_to_wait(self, event: events.Event) -> bool:
        """Return whether an event would overtake one that is on its way, and matters to it."""
        if self._typed_into is not None and isinstance(event, events.Key) and self._has_priority(event.key):
            self._follow_from(self._typed_into)
        oldest_s = monotonic() - MAX_WAIT_S
        self._on_way = {number: at_s for number, at_s in self._on_way.items() if at_s > oldest_s}
        return bool(self._on_way)

    def _has_priority(self, key: str) -> bool:
        found = (bindings.key_to_bindings.get(key, ()) for _, bindings in self.screen._binding_chain)
        return any(binding.priority for group in found for binding in group)

    def _follow_from(self, target: Widget) -> None:
        """Follow the latest key of a widget, and with it all that the widget got before."""
        self._typed_into = None
        number = next(self._key_numbers)
        self._on_way[number] = monotonic()
        self._follow(number, target.ancestors_with_self)

    def _follow(self, number: int, nodes: Sequence[DOMNode]) -> None:
        """Follow a key through the queues of the nodes; at the end of its way the held keys go on."""
        for index, node in enumerate(nodes):
            if node.call_later(self._follow, number, nodes[index + 1 :]):
                return
        self._on_way.pop(number, None)
        if self._held:
            self.call_later(self._process_held)
