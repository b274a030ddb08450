"""The chat on the screen: one widget for all messages, the last of which may be live."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.events import Click, MouseDown
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import var
from textual.selection import Selection
from textual.timer import Timer

from qwen3_chat.transcript.entry import Entry, ThinkingDisplay
from qwen3_chat.transcript.excerpt import hit
from qwen3_chat.transcript.rows import BEYOND, Action, CopyAnswer, CopyCode, FoldThinking, OpenLink
from qwen3_chat.transcript.turn import ANSWER, REASONING, Turn
from qwen3_chat.ui.widgets.transcript_view import TranscriptView

UPDATE_EVERY_S = 0.05
REST_FACTOR = 5
"""After an update that took long comes a rest so much longer: at most a fifth of one core."""


class Transcript(TranscriptView):
    """Entries of a chat, in the reader's language; nothing in them is markup or reaches the terminal raw."""

    thinking_display: var[ThinkingDisplay] = var(ThinkingDisplay.AUTO, init=False)

    @dataclass
    class LinkClicked(Message):
        """The reader clicked a link."""

        url: str

    @dataclass
    class CopyRequested(Message):
        """The reader asked for the source of a message or of a code block."""

        text: str

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        *,
        copy_label: str = "⧉",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._copy_label = copy_label
        self.update_every_s = UPDATE_EVERY_S
        """How often a live entry is shown further."""
        self._live: int | None = None
        self._reasoning: list[str] = []
        self._answer: list[str] = []
        self._retitled = False
        self._ticker: Timer | None = None
        self._rest_until_s = 0.0
        self._pressed_at = Offset(-1, -1)
        self.column.fill(map(self._turn, entries))

    # what the chat tells

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these entries instead, from their end."""
        self._leave_live()
        self.column.fill(map(self._turn, entries))
        self.screen.selections = {}
        self.to_end()

    def append(self, entry: Entry) -> None:
        """Add a complete entry below all others."""
        self.column.append(self._turn(entry))
        self.stay()
        self.unseen = not self.following

    def begin(self, entry: Entry) -> None:
        """Add an entry that grows until `finish`."""
        self._leave_live()
        self.append(entry)
        self._enter_live(len(self.column.turns) - 1)

    def begin_again(self, entry: Entry) -> None:
        """Have the last entry of this role grow anew until `finish`; what was said since stays below it."""
        self._leave_live()
        numbers = range(len(self.column.turns))
        last = max((n for n in numbers if self.column.turns[n].entry.role == entry.role), default=-1)
        self._enter_live(last)
        self.finish(entry)
        self._enter_live(last)

    def _enter_live(self, number: int) -> None:
        self._live = number
        self.column.turns[number].live = True
        self._ticker = self.set_interval(self.update_every_s, self.flush)

    def write_reasoning(self, text: str) -> None:
        """Append to the thinking of the live entry; shown with the next update."""
        self._reasoning.append(text)

    def write_answer(self, text: str) -> None:
        """Append to the answer of the live entry; shown with the next update."""
        self._answer.append(text)

    def set_header(self, text: str) -> None:
        """Change the header of the live entry, or else of the last one."""
        if turn := self._last:
            turn.header = text
            self._retitle()

    def set_reasoning_header(self, text: str) -> None:
        """Change the row that folds the thinking of the live entry, or else of the last one."""
        if turn := self._last:
            turn.reasoning_header = text
            self._retitle()

    def set_note(self, text: str) -> None:
        """Change the note below the live entry, or else below the last one."""
        if turn := self._last:
            turn.note = text
            self._retitle()

    def finish(self, entry: Entry) -> None:
        """End the live entry with its complete texts, laid out as a whole."""
        if (live := self._live) is None:
            return
        self._leave_live()
        turn = self.column.turns[live]
        self._spare_reader(live, entry.answer)

        def change() -> Iterable[int]:
            turn.replace(entry)
            return (live,)

        self.keep(change)

    def flush(self, *, now: bool = False) -> None:
        """Show what was written since the last update; `now` whatever the last one cost."""
        if (live := self._live) is None or not (self._reasoning or self._answer or self._retitled):
            return
        begun_s = time.monotonic()
        if begun_s < self._rest_until_s and not now:
            return
        turn = self.column.turns[live]
        titles = turn.retitle(self.column.width) if self._retitled else []
        reasoning, answer = "".join(self._reasoning), "".join(self._answer)
        self._forget_pending()
        self._spare_reader(live, answer)
        changed = turn.write(reasoning, answer)
        if changed is None or titles is None:
            self.keep(lambda: (live,))
        else:
            self.column.lay(live)
            top = self.column.top(live)
            self.stay(dirty=top + changed)
            for row in titles:
                if 0 <= top + row - self._top < self.screen_rows:
                    self.refresh_line(top + row)
        self.unseen = not self.following and (self.unseen or bool(reasoning or answer))
        self._rest_until_s = begun_s + (1 + REST_FACTOR) * (time.monotonic() - begun_s)

    # what the reader does

    def toggle_thinking(self) -> None:
        """Fold or unfold the pane nearest to the reader: the live one, else the last one shown or above."""
        turns = self.column.turns
        panes = [number for number, turn in enumerate(turns) if turn.has_thinking]
        if not panes:
            return
        if self._live is not None and self._is_thinking(turns[self._live]):
            self._fold(self._live)
        else:
            self._fold(max((number for number in panes if number < self.shown_turns.stop), default=panes[0]))

    def toggle_all_thinking(self) -> None:
        """Fold every pane, or unfold every one if all are folded."""
        panes = [number for number, turn in enumerate(self.column.turns) if turn.has_thinking]
        to_open = not any(self.column.turns[number].is_open for number in panes)

        def change() -> Iterable[int]:
            for number in panes:
                self.column.turns[number].chosen = to_open
            return panes

        self.keep(change)

    def copy_answer(self) -> None:
        """Ask for a copy of the last answer on the screen or above."""
        for turn in reversed(self.column.turns[: self.shown_turns.stop]):
            if turn.entry.role == "assistant" and turn.answer:
                self.post_message(self.CopyRequested(turn.answer))
                return

    def on_mouse_down(self, event: MouseDown) -> None:
        """Remember where a click or a selection begins."""
        self._pressed_at = event.screen_offset

    def on_click(self, event: Click) -> None:
        """Act on what lies under the pointer; a double click on text selects its logical row."""
        event.prevent_default()  # the stock handler would select the whole chat on a double click
        if not self.column.turns or event.screen_offset != self._pressed_at:
            return  # the end of a selection is a click, too
        found = hit(self.column, event.x - self.gutter.left, self._top + event.y - self.gutter.top)
        if found.action is not None:
            if event.chain == 1 or isinstance(found.action, FoldThinking):
                self._act(found.turn, found.action)
        elif event.chain == 2:
            logical = found.place.logical
            self.screen.selections = {self: Selection(Offset(0, logical), Offset(BEYOND, logical))}

    def watch_thinking_display(self, display: ThinkingDisplay) -> None:
        """Fold and unfold the panes that the reader left alone."""

        def change() -> Iterable[int]:
            for turn in self.column.turns:
                turn.display = display
            return [number for number, turn in enumerate(self.column.turns) if turn.has_thinking]

        self.keep(change)

    def _act(self, number: int, action: Action) -> None:
        turn = self.column.turns[number]
        match action:
            case OpenLink(url):
                self.post_message(self.LinkClicked(url))
            case FoldThinking():
                self._fold(number)
            case CopyAnswer():
                self.post_message(self.CopyRequested(turn.answer))
            case CopyCode(block):
                code = self.column.lay(number).pages[ANSWER].codes[block]
                self.post_message(self.CopyRequested("\n".join(code.rows)))

    def _fold(self, number: int) -> None:
        turn = self.column.turns[number]

        def change() -> Iterable[int]:
            turn.chosen = not turn.is_open
            return (number,)

        self.keep(change)
        if not turn.is_open:
            self.following = self._top + self.screen_rows >= self.column.height
            return
        row = self.column.lay(number).find(REASONING, 0)
        if self.column.top(number) + row < self._top and not self._is_thinking(turn):
            self.following = False  # what was unfolded begins above the screen: show it from its first row
            self.place(number, row)

    # the live entry

    def _turn(self, entry: Entry) -> Turn:
        turn = Turn(entry, self._copy_label)
        turn.display = self.thinking_display
        return turn

    def _is_thinking(self, turn: Turn) -> bool:
        return turn.live and turn.has_thinking and not turn.answer.strip()

    def _spare_reader(self, number: int, answer: str) -> None:
        """Leave live thinking open when the answer starts while the reader, not at the end, reads it."""
        turn = self.column.turns[number]
        folds = bool(answer.strip()) and turn.chosen is None and turn.is_open and turn.has_thinking
        if folds and not self.following and number in self.shown_turns:
            turn.chosen = True

    @property
    def _last(self) -> Turn | None:
        """The live turn, or else the last one."""
        if self._live is not None:
            return self.column.turns[self._live]
        return self.column.turns[-1] if self.column.turns else None

    def _retitle(self) -> None:
        if self._live is not None:
            self._retitled = True  # these come with every piece of text
        else:
            self.keep(lambda: (len(self.column.turns) - 1,))

    def _forget_pending(self) -> None:
        self._reasoning.clear()
        self._answer.clear()
        self._retitled = False

    def _leave_live(self) -> None:
        self._forget_pending()
        self._rest_until_s = 0.0
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        if self._live is not None:
            self.column.turns[self._live].live = False
            self._live = None
