"""The screen on which the answers of several models stand side by side, without names until the vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from qwen3_chat.chat import Role, Timings, Usage
from qwen3_chat.comparison.votes import contender_name
from qwen3_chat.events import AnswerDelta, LoadProgressed, PrefillProgressed, ReasoningDelta
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.session import SessionEvent
from qwen3_chat.session.blind_comparison import MIN_ENTRANTS, ComparisonProgress
from qwen3_chat.store.records import ComparedAnswer, Comparison, VoteOutcome
from qwen3_chat.texts import formatting, t
from qwen3_chat.texts.formatting import SEPARATOR, either
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.transcript.message_entry import MessageEntry, ThinkingDisplay
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.message_entries import NOTICE, message_note, thinking_header
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.themes import DIM
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.transcript import Transcript, TranscriptScreen

MIN_PANE_COLUMNS = 38
"""The columns that an answer needs beside others; with fewer, the answers are tabs."""


class ComparisonPhase(StrEnum):
    """The phase of a comparison: answers are written, the user votes, the names are shown."""

    RUNNING = "running"
    VOTING = "voting"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class ComparisonActions:
    """The functions that the screen calls: one for the user's vote, one that stops the models."""

    vote: Callable[[VoteOutcome, int | None], object]
    stop: Callable[[], object]


class AnswerPane(Vertical):
    """One answer under its number; once the names are shown, under that of its model."""

    DEFAULT_CSS = """
    AnswerPane {
        width: 1fr;
        border: round $foreground 20%;
        border-title-color: $foreground;
        border-subtitle-color: $foreground 75%;
        &.-active { border: round $primary; border-title-color: $primary; }
        &.-best { border: heavy $success; border-title-color: $success; }
        Transcript { height: 1fr; }
    }
    """

    def __init__(self, number: int, highlighter: Highlighter | None, *, draws_formulas: bool) -> None:
        self.transcript = Transcript(copy_label=t("ui.copy"))
        super().__init__(self.transcript)
        self.number = number
        self.transcript.highlighter = highlighter
        self.transcript.thinking_display = ThinkingDisplay.CLOSED
        self.transcript.draws_formulas = draws_formulas
        self.border_title = str(number)

    def show_answer(self, answer: ComparedAnswer, failure: str, *, shows_name: bool) -> None:
        """Show the answer from its beginning; its thinking and its figures come with the name."""
        name = contender_name(label_of_name(answer.entrant.title), answer.entrant.mode.value)
        self.border_title = SEPARATOR.join(filter(None, (str(self.number), name if shows_name else "")))
        self.border_subtitle = _figures(answer) if shows_name else ""
        self.transcript.show([_entry(answer, failure, shows_thinking=shows_name)])
        self.transcript.scroll_home(animate=False)


class ComparisonScreen(Dialog[None], TranscriptScreen[None]):
    """The answers side by side, as tabs where the terminal is narrow, with the keys to vote.

    Neither the order of the answers nor their speed tells which model wrote which: they are shown together
    once all are there, in an order drawn by chance.
    """

    BINDINGS = [
        key_binding("vote_1", "1", "vote(0)"),
        key_binding("vote_2", "2", "vote(1)"),
        key_binding("vote_3", "3", "vote(2)"),
        key_binding("vote_4", "4", "vote(3)"),
        key_binding("vote_equal", "0", "vote(-1)"),
        key_binding("next_answer", "right,tab", "pane(1)", priority=True),
        key_binding("previous_answer", "left,shift+tab", "pane(-1)", show=False, priority=True),
        key_binding("show_names", "n", "show_names"),
        key_binding("fold", "ctrl+o", "fold", priority=True),
        key_binding("stop", "escape", "stop"),
        key_binding("vote_later", "escape", "later"),
        key_binding("close", "escape,enter", "close"),
    ]
    CLOSES_BY_CLICK = False
    DEFAULT_CSS = """
    ComparisonScreen {
        background: $background;
        #comparison-question { height: 1; padding: 0 1; color: $foreground 75%; text-wrap: nowrap;
            text-overflow: ellipsis; }
        #comparison-tabs { height: 1; padding: 0 1; display: none; }
        #comparison-panes { height: 1fr; }
        #comparison-state { height: auto; max-height: 6; padding: 0 1; color: $accent; }
        KeyBar { background: $surface; }
        &.-tabs {
            #comparison-tabs { display: block; }
            AnswerPane { display: none; }
            AnswerPane.-active { display: block; }
        }
    }
    """

    def __init__(
        self,
        question: str,
        comparison: Comparison,
        actions: ComparisonActions,
        highlighter: Highlighter | None = None,
        *,
        draws_formulas: bool = True,
    ) -> None:
        super().__init__()
        self._actions = actions
        self._comparison = comparison
        self._failures: dict[int, str] = {}
        self._phase = ComparisonPhase.RUNNING
        self._active = 0
        numbers = range(1, len(comparison.answers) + 1)
        self.panes = [AnswerPane(number, highlighter, draws_formulas=draws_formulas) for number in numbers]
        self._question = Static(
            label_of_name(" ".join(question.split())), markup=False, id="comparison-question"
        )
        self._tabs = Static(id="comparison-tabs")
        self._state = Static(t("ui.compare.starting"), markup=False, id="comparison-state")

    @property
    def phase(self) -> ComparisonPhase:
        """The phase that the comparison is in."""
        return self._phase

    def compose(self) -> ComposeResult:
        """Lay out the question, the answers, what there is to do and the keys."""
        yield self._question
        yield self._tabs
        yield Horizontal(*self.panes, id="comparison-panes")
        yield self._state
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the first answer as the active one."""
        for pane in self.panes:
            pane.transcript.show([MessageEntry(NOTICE, t("ui.compare.pending"))])
        self._activate(0)

    def on_resize(self, event: events.Resize) -> None:
        """Show the answers side by side where each has enough columns, else as tabs."""
        self.set_class(event.size.width < MIN_PANE_COLUMNS * len(self.panes), "-tabs")

    # what the controller shows

    def show_progress(self, progress: ComparisonProgress) -> None:
        """Show how far the answers are; which model is at work stays hidden."""
        number = min(progress.done + 1, progress.total)
        about = t("ui.compare.progress", number=number, total=progress.total)
        self._say(SEPARATOR.join(filter(None, (about, _activity(progress.event)))))

    def show_answers(self, comparison: Comparison, failures: dict[int, str]) -> None:
        """Show all answers for the vote; where too few came, say why, with the names."""
        self._comparison, self._failures = comparison, failures
        n_whole = sum(answer.is_whole for answer in comparison.answers)
        if n_whole < MIN_ENTRANTS:
            self._show_over([t("ui.compare.too_few")])
            return
        self._phase = ComparisonPhase.VOTING
        self._show_panes(shows_names=False)
        numbers = [str(index + 1) for index, answer in enumerate(comparison.answers) if answer.is_whole]
        self._say(t("ui.compare.vote", numbers=either(numbers)))

    def show_result(self, comparison: Comparison, sentences: Sequence[str]) -> None:
        """Show the names, which answer was best, and how the votes stand."""
        self._comparison = comparison
        self._show_over(sentences)

    def _show_over(self, sentences: Sequence[str]) -> None:
        self._phase = ComparisonPhase.OVER
        self._show_panes(shows_names=True)
        for index, pane in enumerate(self.panes):
            pane.set_class(index == self._comparison.winner, "-best")
        if self._comparison.winner is not None:
            self._activate(self._comparison.winner)
        self._say("\n".join(sentences))

    def _show_panes(self, *, shows_names: bool) -> None:
        for index, (pane, answer) in enumerate(zip(self.panes, self._comparison.answers, strict=True)):
            pane.show_answer(answer, self._failures.get(index, ""), shows_name=shows_names)

    def _say(self, text: str) -> None:
        self._state.update(text)
        self.refresh_bindings()

    def _activate(self, index: int) -> None:
        self._active = index % len(self.panes)
        for number, pane in enumerate(self.panes):
            pane.set_class(number == self._active, "-active")
        self.panes[self._active].transcript.focus(scroll_visible=False)
        tabs = [*map(self._tab, range(len(self.panes))), Content.styled("← →", DIM)]
        self._tabs.update(Content(" ").join(tabs))

    def _tab(self, index: int) -> Content:
        style = "bold $primary reverse" if index == self._active else "$foreground 75%"
        label = f" {t('ui.compare.answer', number=index + 1)} "
        return Content.styled(label, f"{style} @click=screen.show_pane({index})")

    # the keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        match action:
            case "vote":
                index = int(str(parameters[0]))
                return self._phase is ComparisonPhase.VOTING and (index < 0 or self._can_win(index))
            case "later" | "show_names":
                return self._phase is ComparisonPhase.VOTING
            case "stop":
                return self._phase is ComparisonPhase.RUNNING
            case "close" | "fold":
                return self._phase is ComparisonPhase.OVER
            case _:
                return True

    def _can_win(self, index: int) -> bool:
        return index < len(self.panes) and self._comparison.answers[index].is_whole

    def action_vote(self, index: int) -> None:
        """Vote for an answer; -1 says that none is better."""
        self._end(VoteOutcome.EQUAL, None) if index < 0 else self._end(VoteOutcome.BEST, index)

    def action_show_names(self) -> None:
        """Show the names without a vote."""
        self._end(VoteOutcome.NO_VOTE, None)

    def _end(self, verdict: VoteOutcome, winner: int | None) -> None:
        """Pass on the vote, once; the names come with the answer to it."""
        self._phase = ComparisonPhase.RUNNING
        self._say(t("ui.compare.counting"))
        self._actions.vote(verdict, winner)

    def action_pane(self, step: int) -> None:
        """Go to the next answer, or to the one before."""
        self._activate(self._active + step)

    def action_show_pane(self, index: int) -> None:
        """Go to an answer."""
        self._activate(index)

    def action_fold(self) -> None:
        """Fold or unfold the thinking of the active answer."""
        self.panes[self._active].transcript.toggle_thinking()

    def action_stop(self) -> None:
        """Stop the models and return to the chat; the answers that are there stay."""
        self._actions.stop()
        self.dismiss(None)

    def action_later(self) -> None:
        """Return to the chat without a vote, which can be given later."""
        self.dismiss(None)

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)

    @on(Transcript.CopyRequested)
    def copy_source(self, message: Transcript.CopyRequested) -> None:
        """Copy the source of an answer or of a code block."""
        self.app.copy_to_clipboard(message.text)

    @on(Transcript.LinkClicked)
    def open_link(self, message: Transcript.LinkClicked) -> None:
        """Open a web page."""
        if message.url.startswith(("https://", "http://")):
            self.app.open_url(message.url)

    @on(events.DescendantFocus)
    def focus_moved(self, event: events.DescendantFocus) -> None:
        """Make the answer active that was clicked."""
        for index, pane in enumerate(self.panes):
            if event.widget is pane.transcript and index != self._active:
                self._activate(index)


def _activity(event: SessionEvent | None) -> str:
    """Return what a model is doing, in a word."""
    match event:
        case LoadProgressed(fraction=fraction):
            return t("ui.compare.loading", percent=round(fraction * 100))
        case PrefillProgressed():
            return t("ui.compare.reading")
        case ReasoningDelta():
            return t("ui.compare.thinking")
        case AnswerDelta():
            return t("ui.compare.writing")
        case _:
            return ""


def _entry(answer: ComparedAnswer, failure: str, *, shows_thinking: bool) -> MessageEntry:
    message = answer.message
    if message is None or not answer.is_whole:
        return MessageEntry(NOTICE, failure or t("ui.compare.no_answer"))
    usage, timings = message.meta.usage or Usage(), message.meta.timings or Timings()
    reasoning = message.message.reasoning if shows_thinking else ""
    return MessageEntry(
        Role.ASSISTANT.value,
        message.message.content or t("ui.compare.empty"),
        reasoning,
        reasoning_header=thinking_header(timings.reasoning_s, usage.reasoning_tokens) if reasoning else "",
        note=message_note(message),
    )


def _figures(answer: ComparedAnswer) -> str:
    """Return the tokens and the speed of an answer."""
    if answer.message is None or not answer.is_whole:
        return ""
    usage, timings = answer.message.meta.usage or Usage(), answer.message.meta.timings or Timings()
    parts = [formatting.format_token_count(usage.answer_tokens + usage.reasoning_tokens)]
    return SEPARATOR.join(
        [*parts, *([formatting.format_speed(timings.tokens_per_s)] if timings.tokens_per_s else [])]
    )
