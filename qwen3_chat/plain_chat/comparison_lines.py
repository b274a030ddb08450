"""Models side by side as plain lines: chosen by numbers, their answers one after another, the vote."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

from qwen3_chat.comparison.votes import contender_name, tallies_among, tally_sentence, tally_votes
from qwen3_chat.events import LoadProgressed
from qwen3_chat.session import ChatSession
from qwen3_chat.session.blind_comparison import (
    MAX_ENTRANTS,
    MIN_ENTRANTS,
    BlindComparison,
    ComparisonProgress,
)
from qwen3_chat.session.thinking_mode import typed_mode
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Comparison, Entrant, StoredMessage, VoteOutcome
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import either
from qwen3_chat.texts.terminal_safe import terminal_safe

if TYPE_CHECKING:
    from qwen3_chat.models.picker import ModelPicker, ServerRow

MAX_SPOKEN_TALLIES = 6
"""The most sentences on votes that are read out."""


class ComparisonLines:
    """The comparisons of a plain chat; `make_picker` knows the models of this machine and the servers."""

    def __init__(
        self,
        session: ChatSession,
        store: ChatStore,
        make_picker: Callable[[], ModelPicker],
        write_line: Callable[[str], None],
        read_line: Callable[[str], str | None],
        run_until_interrupt: Callable[[Coroutine[None, None, None]], Awaitable[object]],
    ) -> None:
        self._session = session
        self._store = store
        self._make_picker = make_picker
        self._write_line = write_line
        self._read_line = read_line
        self._run_until_interrupt = run_until_interrupt

    async def hold(self) -> None:
        """Have several models answer the latest question, then ask for the vote.

        Where a comparison of it waits, go on with that one.
        """
        picker = self._make_picker()
        comparisons = BlindComparison(self._session, self._store, picker.make_engine)
        question = comparisons.question(None)
        if question is None or (chat_id := self._session.chat_id) is None:
            self._write_line(t("ui.compare.no_question"))
            return
        waiting = await self._store.open_comparisons(chat_id)
        comparison = next((one for one in waiting if one.question_id == question.id), None)
        if comparison is None or not comparison.is_complete:
            entrants = await self._choose(picker, question, comparison)
            if not entrants:
                return
            if comparison is not None and set(entrants) != set(comparison.entrants):
                await self._store.end_comparison(comparison.id, VoteOutcome.NO_VOTE)
                comparison = None
            comparison = comparison or await comparisons.begin(question.id, entrants)
            comparison = await self._answered(comparisons, comparison)
        if comparison.verdict is not None:
            self._write_line(t("ui.compare.too_few"))
        elif comparison.is_complete or comparisons.failures:
            await self._vote(comparisons, comparison)
        else:  # it was stopped
            self._write_line(t("linear.compare.later"))

    async def _choose(
        self, picker: ModelPicker, question: StoredMessage, earlier: Comparison | None
    ) -> tuple[Entrant, ...]:
        """List the models by numbers and return the chosen ones; Enter alone goes on with those of before."""
        from qwen3_chat.models.picker.contenders import list_contenders  # here: few chats compare

        model = self._session.engine.model
        contenders = await list_contenders(picker, model, typed_mode(question.message.content))
        servers: list[Sequence[ServerRow]] = [()]

        async def ask_servers() -> None:
            async for rows in picker.servers():
                servers.append(rows)

        await self._run_until_interrupt(ask_servers())
        entrants = contenders.with_servers(servers[-1])
        for number, entrant in enumerate(entrants, 1):
            name = contender_name(entrant.title, entrant.mode.value)
            self._write_line(terminal_safe(f"{number}: {name}"))
        if earlier is not None:
            self._write_line(t("linear.compare.go_on"))
        typed = self._read_line(t("linear.compare.choose", least=MIN_ENTRANTS, most=MAX_ENTRANTS))
        if typed is None or not typed.strip():
            return earlier.entrants if earlier is not None and typed is not None else ()
        numbers = dict.fromkeys(map(int, re.findall(r"\d{1,4}", typed)))
        chosen = tuple(entrants[number - 1] for number in numbers if 1 <= number <= len(entrants))
        if not MIN_ENTRANTS <= len(chosen) <= MAX_ENTRANTS:
            self._write_line(t("linear.compare.how_many", least=MIN_ENTRANTS, most=MAX_ENTRANTS))
            return ()
        return chosen

    async def _answered(self, comparisons: BlindComparison, comparison: Comparison) -> Comparison:
        """Have the missing answers written; the chat's own model is loaded again afterwards."""
        told = -1

        def on_progress(progress: ComparisonProgress) -> None:
            nonlocal told
            if progress.done != told:
                told = progress.done
                about = t("ui.compare.progress", number=progress.done + 1, total=progress.total)
                self._write_line(f"{about}.")

        async def run() -> None:
            await comparisons.run(comparison, on_progress)

        await self._run_until_interrupt(run())
        for sentence in dict.fromkeys(comparisons.failures.values()):
            self._write_line(terminal_safe(sentence))
        if self._session.engine.model is None:
            await self._run_until_interrupt(self._load_own())
        return await self._store.comparison(comparison.id)

    async def _load_own(self) -> None:
        is_told = False

        def on_event(event: object) -> None:
            nonlocal is_told
            if isinstance(event, LoadProgressed) and not is_told:
                is_told = True
                self._write_line(t("linear.loading", percent=0))

        await self._session.prepare(on_event)

    async def _vote(self, comparisons: BlindComparison, comparison: Comparison) -> None:
        """Write the answers one after another, ask which is best, then write the names and the votes."""
        whole = [index for index, answer in enumerate(comparison.answers) if answer.is_whole]
        for index in whole:
            message = comparison.answers[index].message
            assert message is not None
            self._write_line(f"{t('ui.compare.answer', number=index + 1)}:")
            self._write_line(terminal_safe(message.message.content) or t("linear.compare.empty"))
        numbers = [str(index + 1) for index in whole]
        typed = self._read_line(t("linear.compare.vote", numbers=either(numbers)))
        choice = (typed or "").strip()
        if choice == "0":
            ended = await comparisons.vote(comparison, VoteOutcome.EQUAL)
        elif choice in numbers:
            ended = await comparisons.vote(comparison, VoteOutcome.BEST, int(choice) - 1)
        else:
            self._write_line(t("linear.compare.later"))
            return
        for index in whole:
            entrant = ended.answers[index].entrant
            name = terminal_safe(contender_name(entrant.title, entrant.mode.value))
            self._write_line(f"{t('ui.compare.answer', number=index + 1)}: {name}")
        tallies = tallies_among(tally_votes(await self._store.votes()), ended.entrants)
        for tally in tallies[:MAX_SPOKEN_TALLIES]:
            self._write_line(terminal_safe(tally_sentence(tally)))
