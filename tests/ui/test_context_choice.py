from __future__ import annotations

from qwen3_chat.chat import StopReason
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.events import AnswerDelta, EngineEvent
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.texts import t
from qwen3_chat.ui.screens.context_choice_screen import ContextChoiceScreen
from tests.fakes import MODEL, REPLY, FakeEngine, finished
from tests.harness import Harness, Start

QUESTIONS = ("One", "Two", "Three")


def cramped() -> FakeEngine:
    """Return an engine whose context has room for four messages and a reserve."""
    engine = FakeEngine(tokens_per_message=180)
    engine.max_n_ctx = 4000
    return engine


async def is_asked(harness: Harness) -> None:
    for question in QUESTIONS[:2]:
        await harness.turn(question)
    await harness.say(QUESTIONS[2])
    await harness.until(lambda: isinstance(harness.app.screen, ContextChoiceScreen))


async def test_the_user_chooses_what_becomes_of_a_chat_that_does_not_fit(start: Start) -> None:
    engine = cramped()
    async with start(engine) as harness:
        await is_asked(harness)
        for policy in (ContextPolicy.DROP, ContextPolicy.SUMMARISE, ContextPolicy.ENLARGE):
            assert harness.shows(t(f"ui.context.{policy}"))
        await harness.pilot.press("enter")
        await harness.until(lambda: len(harness.session.messages) == 6 and not harness.screen.is_answering)
        left_out = [
            turn.entry.dropped_note for turn in harness.screen.transcript.transcript_layout.message_views
        ]
        assert left_out.count(t("ui.note.not_sent")) == harness.session.messages[-1].meta.left_out == 2
        assert len(engine.requests[-1].messages) == 3
        harness.screen.transcript.scroll_home(animate=False)
        await harness.sees(t("ui.note.not_sent"))


async def test_a_larger_context_is_chosen_with_the_keys(start: Start) -> None:
    engine = cramped()
    async with start(engine) as harness:
        await is_asked(harness)
        await harness.pilot.press("down", "down", "enter")
        await harness.until(lambda: len(harness.session.messages) == 6 and not harness.screen.is_answering)
        assert engine.model == replace(MODEL, n_ctx=4000)
        assert len(engine.requests[-1].messages) == 5
        await harness.sees("4,000")


async def test_a_question_that_nothing_was_chosen_for_waits(start: Start) -> None:
    async with start(cramped()) as harness:
        await is_asked(harness)
        await harness.pilot.press("escape")
        await harness.until(lambda: harness.app.screen is harness.screen)
        assert len(harness.session.messages) == 5
        await harness.sees(t("ui.note.retry"))
        await harness.pilot.press("f5")
        await harness.until(lambda: isinstance(harness.app.screen, ContextChoiceScreen))


async def test_what_is_not_sent_stays_greyed_when_the_chat_is_opened_again(start: Start) -> None:
    engine = cramped()
    async with start(engine) as harness:
        harness.session.set_options(TurnOptions(context_policy=ContextPolicy.SUMMARISE))
        for question in QUESTIONS:
            await harness.turn(question)
        chat = harness.session.chat
        assert chat is not None
    async with start(cramped(), resume=chat.id) as harness:
        entries = [turn.entry for turn in harness.screen.transcript.transcript_layout.message_views]
        assert [bool(entry.dropped_note) for entry in entries].count(True) == 2
        assert entries[2].role == "notice"
        assert "It is 3." in entries[2].answer


async def test_a_reply_goes_on_in_its_place_with_what_was_said_since_below_it(start: Start) -> None:
    stopped: list[EngineEvent] = [AnswerDelta("It is"), finished(StopReason.CANCELLED)]
    engine = FakeEngine(REPLY, REPLY, stopped, tokens_per_message=150)
    async with start(engine) as harness:
        for question in QUESTIONS:
            await harness.turn(question)
        harness.session.set_options(TurnOptions(context_policy=ContextPolicy.DROP))
        assert engine.model is not None
        engine.model = replace(engine.model, n_ctx=800)
        await harness.pilot.press("f6")
        await harness.until(lambda: harness.session.messages[-1].message.content == "It is 3.")
        await harness.until(lambda: not harness.screen.is_answering)
        entries = [turn.entry for turn in harness.screen.transcript.transcript_layout.message_views]
        assert [entry.role for entry in entries[-3:]] == ["user", "assistant", "notice"]
        assert entries[-2].answer == "It is 3."
        assert sum(bool(entry.dropped_note) for entry in entries) == 2
