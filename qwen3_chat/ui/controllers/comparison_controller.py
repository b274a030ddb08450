"""Models side by side: the choice of the models, their answers, the vote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qwen3_chat.session import ChatSession, SessionEventSink
from qwen3_chat.session.blind_comparison import BlindComparison
from qwen3_chat.session.thinking_mode import typed_mode
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Comparison, Entrant, StoredMessage, VoteOutcome
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.controllers.version_controller import VersionController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

if TYPE_CHECKING:
    from qwen3_chat.models.picker import ModelPicker
    from qwen3_chat.ui.screens.comparison_screen import ComparisonScreen

MAX_TALLIES = 3
"""The most sentences on votes that are shown at once."""


class ComparisonController(Controller):
    """The comparisons of the open chat that wait for a vote; their answers have no names until then."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        store: ChatStore,
        get_picker: Callable[[], ModelPicker] | None,
        turns: TurnController,
        versions: VersionController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._store = store
        self._get_picker = get_picker
        self._turns = turns
        self._versions = versions
        self._waiting: tuple[Comparison, ...] = ()
        self._told: int | None = None
        """The chat whose user was told that a comparison waits."""
        versions.is_anonymous = self._is_anonymous

    @property
    def can_compare(self) -> bool:
        """True if there are models to choose from and a question for them."""
        return self._get_picker is not None and bool(self._session.messages)

    def _is_anonymous(self, message_id: int) -> bool:
        answers = (answer for comparison in self._waiting for answer in comparison.answers)
        return any(answer.message is not None and answer.message.id == message_id for answer in answers)

    @in_worker("waiting", exclusive=True)
    async def chat_shown(self) -> None:
        """Find the comparisons of the chat that wait for a vote, hide their names, and tell of them once."""
        chat_id = self._session.chat_id
        with notify_errors(self._screen, "task.versions"):
            waiting = () if chat_id is None else await self._store.open_comparisons(chat_id)
            if chat_id != self._session.chat_id:
                return
            has_changed, self._waiting = waiting != self._waiting, waiting
            if has_changed:
                self._versions.show_counts()
            if waiting and self._told != chat_id and not self._turns.is_answering:
                self._told = chat_id
                self._screen.notify(t("ui.compare.waits"), timeout=12)

    @in_worker("compare")
    async def open(self) -> None:
        """Compare answers to the marked question, or to the latest one; go on where a comparison waits."""
        picker = self._get_picker and self._get_picker()
        if picker is None or self._turns.is_answering or (chat_id := self._session.chat_id) is None:
            return
        comparisons = BlindComparison(self._session, self._store, picker.make_engine)
        question = comparisons.question(self._widgets.transcript.marked)
        if question is None:
            self._screen.notify(t("ui.compare.no_question"), severity="warning")
            return
        with notify_errors(self._screen, "task.compare"):
            waiting = await self._store.open_comparisons(chat_id)
            earlier = next((one for one in waiting if one.question_id == question.id), None)
            if earlier is not None and earlier.is_complete:
                await self._hold(comparisons, earlier, question)
            elif entrants := await self._choose(picker, question, earlier):
                if earlier is not None and set(entrants) != set(earlier.entrants):
                    await self._store.end_comparison(earlier.id, VoteOutcome.NO_VOTE)
                    earlier = None
                comparison = earlier or await comparisons.begin(question.id, entrants)
                await self._hold(comparisons, comparison, question)

    async def _choose(
        self, picker: ModelPicker, question: StoredMessage, earlier: Comparison | None
    ) -> tuple[Entrant, ...]:
        """Return the chosen models; those of the latest comparison are chosen to begin with."""
        from qwen3_chat.comparison.votes import tally_sentence, tally_votes  # here: few chats compare
        from qwen3_chat.models.picker.contenders import list_contenders
        from qwen3_chat.ui.screens.comparison_choice_screen import ComparisonChoiceScreen

        mode = typed_mode(question.message.content)
        contenders = await list_contenders(picker, self._session.engine.model, mode)
        chosen = earlier.entrants if earlier else await self._store.latest_entrants()
        if not chosen and (own := contenders.own(self._session.mode, contenders.local)) is not None:
            chosen = (own,)
        tallies = tally_votes(await self._store.votes())
        sentences = [tally_sentence(tally) for tally in tallies[:MAX_TALLIES]]
        self._screen.app.clear_notifications()
        dialog = ComparisonChoiceScreen(contenders, chosen, picker.servers, sentences)
        return await show_dialog(self._screen, dialog) or ()

    async def _hold(
        self, comparisons: BlindComparison, comparison: Comparison, question: StoredMessage
    ) -> None:
        """Show the comparison until the user leaves it, and have the missing answers written meanwhile."""
        from qwen3_chat.ui.screens.comparison_screen import ComparisonActions, ComparisonScreen

        def vote(verdict: VoteOutcome, winner: int | None) -> None:
            self._vote(comparisons, comparison, screen, verdict, winner)

        screen = ComparisonScreen(
            question.message.content,
            comparison,
            ComparisonActions(vote, self._turns.stop),
            self._widgets.transcript.highlighter,
            draws_formulas=self._widgets.transcript.draws_formulas,
        )
        if comparison.is_complete:
            screen.call_after_refresh(screen.show_answers, comparison, {})
        else:
            self._turns.start(partial(self._run, comparisons, comparison, screen))
        self._screen.app.clear_notifications()
        await show_dialog(self._screen, screen)
        await self._versions.reread()
        self._view.show_chat()

    async def _run(
        self,
        comparisons: BlindComparison,
        comparison: Comparison,
        screen: ComparisonScreen,
        on_event: SessionEventSink,
    ) -> None:
        """Have the models answer, as a turn that Esc stops; the chat's own model is loaded again after it."""
        try:
            answered = await comparisons.run(comparison, screen.show_progress)
            screen.show_answers(answered, comparisons.failures)
        finally:
            self._screen.call_later(self._turns.load_model)

    @in_worker("vote")
    async def _vote(
        self,
        comparisons: BlindComparison,
        comparison: Comparison,
        screen: ComparisonScreen,
        verdict: VoteOutcome,
        winner: int | None,
    ) -> None:
        """Store a vote, then show the names and how the votes stand."""
        from qwen3_chat.comparison.votes import tallies_among, tally_sentence, tally_votes

        with notify_errors(self._screen, "task.vote"):
            async with self._turns.navigation_lock:
                ended = await comparisons.vote(comparison, verdict, winner)
            sentences = []
            if verdict is not VoteOutcome.NO_VOTE:
                tallies = tallies_among(tally_votes(await self._store.votes()), ended.entrants)
                sentences = [tally_sentence(tally) for tally in tallies[:MAX_TALLIES]]
            screen.show_result(ended, sentences or [t("ui.compare.not_voted")])
