"""The panes of the calls of a turn that runs: from the moment at which the model asks, to their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from msgspec import Struct, field

from qwen3_chat.chat import Role, ToolCall
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.call_state import CallState
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.ui.tool_entries import call_entry
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript


class _Pane(Struct):
    """A call with its pane; `entry` is what the transcript shows of it."""

    call: ToolCall
    entry: MessageEntry
    state: CallState = CallState.WAITING
    since_s: float = 0.0
    progress: list[str] = field(default_factory=list)


class CallPanes:
    """The panes of the calls of one reply, in their order."""

    def __init__(self, transcript: MarkedTranscript, clock: Callable[[], float]) -> None:
        self._transcript = transcript
        self._clock = clock
        self._panes: list[_Pane] = []
        self.name_of: Callable[[str], str] = lambda name: name
        """A function that returns the name by which the user knows a tool, by that of the model."""

    def begin(self, *, continues: bool) -> None:
        """Begin with a reply; one that continues asks for its calls again."""
        self._panes.clear()
        if continues:
            entries = [view.entry for view in self._transcript.transcript_layout.message_views]
            for entry in takewhile(lambda entry: entry.role != Role.ASSISTANT, reversed(entries)):
                if entry.role == Role.TOOL and entry.key is None:
                    self._transcript.remove_entry(entry)

    def request(self, call: ToolCall) -> None:
        """Show a call that the model asks for."""
        pane = _Pane(call, self._entry(call, CallState.WAITING))
        self._panes.append(pane)
        self._transcript.append(pane.entry)

    def reply_ended(self, calls: Sequence[ToolCall]) -> None:
        """Show the calls of the whole reply: some are found only at its end, others it does not keep."""
        for pane in self._panes[len(calls) :]:
            self._transcript.remove_entry(pane.entry)
        del self._panes[len(calls) :]
        for pane, call in zip(self._panes, calls, strict=False):
            pane.call = call
        for call in calls[len(self._panes) :]:
            self.request(call)

    def ask(self, call: ToolCall) -> None:
        """Show that the user is asked about a call."""
        for pane in self._panes:
            if pane.state is CallState.ASKING:  # it was answered
                self._show(pane, CallState.WAITING)
        if asked := self._find(call, CallState.WAITING):
            self._show(asked, CallState.ASKING)

    def start(self, call: ToolCall) -> None:
        """Show that a call runs, with the arguments that it runs with."""
        if pane := self._find(call, CallState.ASKING, CallState.WAITING):
            pane.call, pane.since_s = call, self._clock()
            self._show(pane, CallState.RUNNING)

    def report(self, event: ToolCallProgressed) -> None:
        """Show how far a call has come; of two calls of one tool, nobody knows which it was."""
        running = [pane for pane in self._panes if pane.state is CallState.RUNNING]
        match [pane for pane in running if pane.call.name == event.name]:
            case [pane]:
                how_far = f"{event.progress:g}" if event.fraction is None else f"{event.fraction:.0%}"
                pane.progress = [how_far, *filter(None, (terminal_safe(event.message),))]
                self._show(pane, CallState.RUNNING)

    def tick(self) -> None:
        """Update the elapsed times."""
        for pane in self._panes:
            if pane.state is CallState.RUNNING:
                self._show(pane, CallState.RUNNING)

    def finish(self, stored: StoredMessage, entry: MessageEntry) -> None:
        """Show the result of a call in its pane, or below everything if there is none."""
        record = stored.meta.call
        if record is not None and record.index < len(self._panes):
            pane = self._panes[record.index]
            pane.state = CallState.DONE
            if self._transcript.replace_entry(pane.entry, entry):
                return
        self._transcript.append(entry)

    def end(self) -> None:
        """End with the turn: a call without a result gets none."""
        for pane in self._panes:
            if pane.state in (CallState.WAITING, CallState.ASKING, CallState.RUNNING):
                self._show(pane, CallState.UNKNOWN)
        self._panes.clear()

    def _find(self, call: ToolCall, *states: CallState) -> _Pane | None:
        """Return the first pane of a call in one of the states: its arguments may have changed meanwhile."""
        for state in states:
            waiting = [p for p in self._panes if p.state is state and p.call.name == call.name]
            equal = [pane for pane in waiting if pane.call.arguments == call.arguments]
            if found := (equal or waiting)[:1]:
                return found[0]
        return None

    def _show(self, pane: _Pane, state: CallState) -> None:
        is_running = state is CallState.RUNNING
        elapsed_s = self._clock() - pane.since_s if is_running else 0.0
        entry = self._entry(pane.call, state, elapsed_s, pane.progress if is_running else ())
        pane.state = state
        if entry != pane.entry and self._transcript.replace_entry(pane.entry, entry):
            pane.entry = entry

    def _entry(
        self, call: ToolCall, state: CallState, elapsed_s: float = 0.0, progress: Sequence[str] = ()
    ) -> MessageEntry:
        return call_entry(replace(call, name=self.name_of(call.name)), state, elapsed_s, progress)
