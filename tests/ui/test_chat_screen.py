from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from time import monotonic

import pytest
from textual.actions import parse
from textual.widgets import OptionList

from qwen3_chat.chat import Role, StopReason, ThinkingMode
from qwen3_chat.config import Settings
from qwen3_chat.events import (
    AnswerDelta,
    EngineFailed,
    LoadProgressed,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
)
from qwen3_chat.session import ChatSession
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.store import ChatStore
from qwen3_chat.ui.key_bindings import CHAT_KEYS, MESSAGE_KEYS
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.screens.chats_screen import ChatsScreen
from qwen3_chat.ui.screens.help_screen import HelpScreen
from qwen3_chat.ui.turn_view import TurnPhase
from qwen3_chat.ui.widgets.activity_line import BAR_CELLS, ActivityLine
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Start, open_app

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK


async def test_a_turn_shows_question_thinking_header_and_answer(start: Start) -> None:
    async with start() as app:
        await app.turn("How many r's?")
        await app.sees("How many r's?")
        await app.sees("Thought 1.0 s · 2 tok · 2.0 tok/s")
        await app.sees("It is 3.")
        assert not app.screen.input.text


async def test_one_key_and_a_setting_show_the_source_of_formulas(start: Start) -> None:
    async with start(FakeEngine([AnswerDelta("$x^2 + 1$"), finished()])) as app:
        await app.turn("Say it")
        await app.sees("x² + 1")
        await app.pilot.press("alt+m")
        await app.sees("$x^2 + 1$")
        await app.pilot.press("alt+m")
        await app.sees("x² + 1")
        assert app.screen.apply_setting(Settings(maths="source"), "maths")
        await app.sees("$x^2 + 1$")


async def test_prose_keeps_a_reading_width_and_code_may_be_wider(tmp_path: Path) -> None:
    answer = "word " * 60 + "\n\n```\n" + "x" * 150 + "\n```\n"
    async with open_app(tmp_path, FakeEngine([AnswerDelta(answer), finished()]), (200, 40)) as app:
        await app.turn("Say it")
        await app.sees("x" * 150)
        assert 90 < max(len(row.strip()) for row in app.rows() if "word word" in row) <= 100
        assert app.screen.apply_setting(Settings(reading_width=0), "reading_width")
        await app.until(lambda: max(len(row.strip()) for row in app.rows() if "word word" in row) > 180)


async def test_one_key_switches_the_mode_and_the_state_is_visible(start: Start) -> None:
    async with start() as app:
        await app.sees("Thinking on")
        await app.pilot.press("ctrl+t")
        await app.until(lambda: app.shows("Thinking off"))
        assert app.session.mode is NO_THINK
        await app.turn("Hello")
        await app.sees("You · /no_think")  # said beside what was typed, not in it
        assert not app.shows("Hello /no_think")
        assert app.session.messages[0].message.content == "Hello"


async def test_a_message_of_nothing_but_a_tag_switches_and_asks_nothing(start: Start) -> None:
    async with start() as app:
        await app.say("/no_think")
        await app.until(lambda: app.session.mode is NO_THINK)
        assert app.session.messages == ()


async def test_escape_stops_and_the_partial_answer_stays(start: Start) -> None:
    engine = FakeEngine()
    engine._scripts = [[AnswerDelta("Half an answer"), engine.cancelled, finished(StopReason.CANCELLED)]]
    async with start(engine) as app:
        await app.say("Go")
        await app.until(lambda: app.shows("Half an answer"))
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        await app.sees("Half an answer")
        await app.sees("Stopped before the end.")
        assert app.session.messages[-1].message.content == "Half an answer"


async def test_loading_reading_and_thinking_each_tell_what_goes_on(start: Start) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    script: list[Step] = [
        LoadProgressed(0.5),
        gates[0],
        PrefillProgressed(60, 120, 0),
        gates[1],
        ReasoningDelta("Hm", 1),
        gates[2],
        finished(),
    ]
    async with start(FakeEngine(script)) as app:
        await app.say("Go")
        await app.until(lambda: app.shows("Loading the model"))
        gates[0].set()
        await app.until(lambda: app.shows("Reading the prompt 60/120"))
        gates[1].set()
        await app.until(lambda: app.screen.turn.phase is TurnPhase.THINKING)
        await app.until(lambda: app.shows("Hm"))
        gates[2].set()
        await app.until(lambda: not app.screen.is_answering)


@pytest.mark.parametrize(
    ("done", "total", "reused", "share"),
    [
        (512, 625, 0, "82%"),
        (512, 625, 400, "82%"),
        (400, 625, 400, "64%"),
        (625, 625, 624, "100%"),
        (0, 9, 0, "0%"),
    ],
)
async def test_the_bar_while_the_prompt_is_read_stands_where_the_numbers_say(
    start: Start, done: int, total: int, reused: int, share: str
) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine([PrefillProgressed(done, total, reused), gate, finished()])) as app:
        await app.say("Go")
        await app.sees(f"Reading the prompt {done}/{total}  {'━' * BAR_CELLS} {share} ")
        line = app.screen.query_one(ActivityLine)
        filled = line.get_component_styles("activity-line--bar").color.rich_color
        bar = [
            s for s in line.render_line(0) if s.text.strip("━") == "" and s.style and s.style.color == filled
        ]
        assert sum(map(len, (s.text for s in bar))) == round(BAR_CELLS * done / total)
        gate.set()


async def test_answer_now_is_offered_only_while_it_thinks(start: Start) -> None:
    gate = asyncio.Event()
    engine = FakeEngine([ReasoningDelta("Hm", 1), gate, AnswerDelta("So."), finished()])
    async with start(engine) as app:
        assert not app.shows("Answer now")
        await app.say("Go")
        await app.until(lambda: app.screen.turn.phase is TurnPhase.THINKING)
        await app.pilot.press("ctrl+g")
        assert engine.ends_of_thinking == 1
        gate.set()
        await app.until(lambda: not app.screen.is_answering)
        await app.pilot.press("ctrl+g")
        assert engine.ends_of_thinking == 1


async def test_an_engine_that_dies_leaves_the_partial_answer_and_a_sentence(start: Start) -> None:
    engine = FakeEngine([AnswerDelta("Half"), EngineFailed("engine.killed")])
    async with start(engine) as app:
        await app.turn("Go")
        await app.sees("Half")
        await app.sees("F5 answers the last message again.")
        await app.turn("Again")
        await app.sees("It is 3.")


async def test_a_stored_chat_is_found_by_its_words_and_gone_on_with(start: Start) -> None:
    async with start() as app:
        await app.turn("About strawberries")
        await app.pilot.press("ctrl+n")
        await app.turn("今天天气怎么样")
        await app.pilot.press("ctrl+r")
        await app.until(lambda: isinstance(app.app.screen, ChatsScreen))
        options = app.app.screen.query_one(OptionList)
        await app.until(lambda: options.option_count == 2)
        await app.pilot.press(*"strawb")
        await app.until(lambda: options.option_count == 1)
        await app.pilot.press("enter")
        await app.until(lambda: app.shows("About strawberries"))
        assert len(app.session.messages) == 2


async def test_a_resumed_chat_is_shown_from_its_end(start: Start) -> None:
    async with start() as app:
        await app.turn("Remember me")
        number = app.session.messages[0].chat_id
    async with start(resume=number) as app:
        await app.sees("Remember me")
        await app.sees("It is 3.")


async def test_an_export_tells_its_path_and_never_overwrites(start: Start) -> None:
    async with start(size=(120, 40)) as app:
        await app.turn("草莓里有几个r？")
        await app.pilot.press("ctrl+s", "enter")
        await app.until(lambda: len(list(app.exports.glob("*.md"))) == 1)
        await app.pilot.press("ctrl+s", "enter")
        await app.until(lambda: len(list(app.exports.glob("*.md"))) == 2)
        await app.until(lambda: app.shows("Exported to"))
        assert all("草莓" in path.name for path in app.exports.glob("*.md"))


async def test_up_brings_back_what_was_sent_and_down_the_draft(start: Start) -> None:
    async with start() as app:
        await app.turn("One")
        await app.turn("Two")
        app.screen.input.text = "Draft"
        await app.pilot.press("up")
        assert app.screen.input.text == "Two"
        await app.pilot.press("up")
        assert app.screen.input.text == "One"
        await app.pilot.press("down", "down")
        assert app.screen.input.text == "Draft"


async def test_a_new_line_is_a_key_and_a_paste_keeps_its_lines(start: Start) -> None:
    async with start() as app:
        await app.pilot.press("a", "ctrl+j", "b")
        assert app.screen.input.text == "a\nb"


async def test_the_help_names_every_key(start: Start) -> None:
    async with start(size=(100, 80)) as app:
        await app.pilot.press("f1")
        await app.until(lambda: isinstance(app.app.screen, HelpScreen))
        texts = ("Switch thinking on or off", "Export this chat", "Quit; everything is kept")
        await app.until(lambda: all(app.shows(text) for text in texts))
        await app.pilot.press("escape")
        assert not isinstance(app.app.screen, HelpScreen)


async def test_answering_again_replaces_the_answer_on_the_screen(start: Start) -> None:
    engine = FakeEngine([AnswerDelta("First answer"), finished()], [AnswerDelta("Second answer"), finished()])
    async with start(engine) as app:
        await app.turn("Go")
        await app.pilot.press("f5")
        await app.until(lambda: app.shows("Second answer") and not app.screen.is_answering)
        assert not app.shows("First answer")


async def test_a_stopped_answer_goes_on_in_its_place(start: Start) -> None:
    gate = asyncio.Event()
    rest: list[Step] = [AnswerDelta("Half an"), gate, AnswerDelta(" answer"), finished()]
    async with start(FakeEngine([AnswerDelta("Half an"), finished(StopReason.CANCELLED)], rest)) as app:
        await app.turn("Go")
        await app.sees("Stopped before the end.")
        await app.sees("F6")
        await app.pilot.press("f6")
        await app.until(lambda: app.shows("Half an") and not app.shows("Stopped"))
        assert not app.shows("F6")
        gate.set()
        await app.sees("Half an answer")
        await app.until(lambda: not app.screen.is_answering)
        assert [m.message.content for m in app.session.messages] == ["Go", "Half an answer"]
        assert "\n".join(app.rows()).count("Half an") == 1


async def test_leaving_in_mid_answer_stores_what_arrived(start: Start) -> None:
    never = asyncio.Event()
    async with start(FakeEngine([AnswerDelta("Half"), never])) as app:
        await app.say("Go")
        await app.until(lambda: app.shows("Half"))
        await app.app.action_quit()
        number = app.session.messages[0].chat_id
        assert (await app.store.branch(number))[-1].message.content == "Half"


async def test_escapes_in_a_reply_never_reach_the_terminal(start: Start) -> None:
    engine = FakeEngine([ReasoningDelta("\x1b[2J"), AnswerDelta("a\x1b]0;owned\x07b\x9b31m"), finished()])
    async with start(engine) as app:
        await app.turn("Go\x1b[31m")
        screen = "\n".join(app.rows())
        assert not any(ord(character) < 32 and character != "\n" for character in screen)
        assert "\x9b" not in screen


async def test_a_message_may_be_sent_while_the_model_is_still_loading(start: Start) -> None:
    gate = asyncio.Event()
    async with start(FakeEngine(loading=[LoadProgressed(0.3), gate])) as app:
        await app.until(lambda: app.shows("Loading the model"))
        await app.say("Early")
        await app.until(lambda: app.shows("Early") and app.shows("Loading the model"))
        gate.set()
        await app.until(lambda: app.shows("It is 3.") and not app.screen.is_answering)
        assert app.screen.turn.phase is TurnPhase.IDLE


async def test_a_notice_shows_markup_and_escapes_as_text(start: Start) -> None:
    async with start() as app:
        app.screen.notify("[bold]\x1b[31m[/nope]")
        await app.sees("[bold]�[31m[/nope]")


async def test_a_copied_answer_is_its_source_and_can_be_pasted_into_the_input(start: Start) -> None:
    source = "**重点。**下文\n\n```py\nx = 1\n```"
    async with start(FakeEngine([AnswerDelta(source), finished()])) as app:
        await app.turn("Go")
        app.screen.transcript.copy_answer()
        await app.until(lambda: app.app.clipboard == source)
        await app.pilot.press("ctrl+v")
        await app.until(lambda: app.screen.input.text == source)


async def test_what_is_typed_reaches_the_input_wherever_the_focus_is(start: Start) -> None:
    async with start() as app:
        await app.pilot.press("tab")
        await app.until(lambda: not app.screen.input.has_focus)
        await app.pilot.press(*"xyz")
        await app.until(lambda: app.screen.input.text == "xyz")


async def test_what_was_said_while_loading_stays_on_the_welcome(start: Start) -> None:
    async with start(FakeEngine(loading=[Notice("engine.context_reduced", {"n_ctx": 512})])) as app:
        await app.sees("Memory is short: the context is 512 tokens.")
        await app.until(lambda: not app.screen.turn.is_busy)
        await app.sees("Welcome to qwen3-chat.")
        await app.sees("Memory is short: the context is 512 tokens.")


async def test_a_store_that_is_busy_is_reported_and_the_app_goes_on(start: Start) -> None:
    async with start() as app:
        await app.turn("Go")
        await app.store.close()
        await app.pilot.press("ctrl+t")
        await app.sees("The chat database has already been closed.")
        await app.say("Not lost")
        await app.until(lambda: app.screen.input.text == "Not lost")


async def test_leaving_lets_a_turn_end_by_itself_with_its_figures(start: Start) -> None:
    engine = FakeEngine()
    engine._scripts = [[AnswerDelta("Half"), engine.cancelled, finished(StopReason.CANCELLED)]]
    async with start(engine) as app:
        await app.say("Go")
        await app.sees("Half")
        await app.app.action_quit()
        reply = (await app.store.branch(app.session.messages[0].chat_id))[-1]
        assert reply.meta.stop_reason is StopReason.CANCELLED
        assert reply.meta.usage is not None


async def test_ctrl_c_says_how_to_leave(start: Start) -> None:
    async with start() as app:
        app.screen.transcript.focus()
        await app.pilot.press("ctrl+c")
        await app.sees("Ctrl+Q quits")


async def test_up_inside_a_wrapped_line_stays_in_the_draft(start: Start) -> None:
    async with start() as app:
        await app.turn("Old")
        app.screen.input.text = "word " * 30
        app.screen.input.move_cursor(app.screen.input.document.end)
        await app.pilot.press("up")
        assert app.screen.input.text == "word " * 30


async def test_an_edited_entry_of_the_history_keeps_its_edit_until_it_is_sent(start: Start) -> None:
    async with start() as app:
        await app.turn("Old")
        await app.pilot.press("up", "!", "down", "up")
        assert app.screen.input.text == "Old!"


async def test_the_context_is_counted_while_the_answer_is_written(start: Start) -> None:
    gate = asyncio.Event()
    script: list[Step] = [PrefillProgressed(100, 100, 0), AnswerDelta("Hm", 20), gate, finished()]
    async with start(FakeEngine(script)) as app:
        await app.say("Go")
        await app.sees("context 120/1000 (12%)")
        gate.set()
        await app.until(lambda: not app.screen.is_answering)


async def test_a_chat_deleted_in_the_list_leaves_the_screen(start: Start) -> None:
    async with start() as app:
        await app.turn("Gone")
        await app.pilot.press("ctrl+r")
        await app.until(lambda: isinstance(app.app.screen, ChatsScreen))
        await app.until(lambda: app.app.screen.query_one(OptionList).option_count == 1)
        await app.pilot.press("ctrl+d")
        await app.sees("There are no chats yet.")
        await app.pilot.press("escape")
        await app.sees("Welcome to qwen3-chat.")
        assert app.session.chat is None


async def test_earlier_answers_are_walked_through_and_gone_on_from(start: Start) -> None:
    answers: list[list[Step]] = [[AnswerDelta(f"Answer {n}"), finished()] for n in (1, 2, 3)]
    async with start(FakeEngine(*answers), size=(100, 24)) as app:
        await app.turn("Go")
        for n in (2, 3):
            await app.pilot.press("f5")
            await app.sees(f"Answer {n}")
            await app.sees(f"version {n}/{n}")
        await app.pilot.press("f2")
        await app.sees("version 2/3")
        await app.sees("Answer 2")
        await app.turn("And then?")
        assert [m.message.content for m in app.session.messages[:3]] == ["Go", "Answer 2", "And then?"]
        assert "version" not in app.rows()[-2]  # of the end of the chat
        assert app.shows("version 2/3")  # of the answer before


async def test_turns_of_another_window_are_reached_as_versions(start: Start) -> None:
    async with start(size=(100, 24)) as app:
        await app.turn("Start")
        number = app.session.messages[0].chat_id
        async with start(resume=number, size=(100, 24)) as other:
            await other.turn("Theirs")
        await app.turn("Ours")
        await app.sees("version 2/2")
        await app.pilot.press("f2")
        await app.sees("Theirs")
        await app.pilot.press("f3")
        await app.sees("Ours")


async def test_turns_in_quick_succession_all_arrive(start: Start) -> None:
    async with start() as app:
        for n in range(30):
            app.screen.input.text = f"Question {n}"
            await app.pilot.press("enter")
            await app.until(lambda: not app.screen.is_answering)
        asked = [m.message.content for m in app.session.messages if m.message.role is Role.USER]
        assert asked == [f"Question {n}" for n in range(30)]
        assert [m.message for m in await app.store.branch(app.session.messages[0].chat_id)] == [
            m.message for m in app.session.messages
        ]


async def test_garbage_is_collected_again_once_the_app_has_started(start: Start) -> None:
    gc.disable()
    try:
        async with start():
            assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


async def test_each_action_is_checked_truly_before_the_screen_is_mounted(tmp_path: Path) -> None:
    store = await ChatStore.open(tmp_path / "chats.db")
    session = ChatSession(FakeEngine(), store, draw_seed=lambda: 1, clock=monotonic)
    drafts = DraftStore(store, tmp_path / "draft.json")
    screen = ChatScreen(session, store, drafts, tmp_path, tmp_path, Settings())
    possible = set()
    for binding in (*CHAT_KEYS, *MESSAGE_KEYS):
        _, action, parameters = parse(binding.action)
        if screen.check_action(action, parameters):
            possible.add(action)
    always = {"toggle_mode", "new_chat", "chats", "sidebar", "chat_options", "editor", "copy_answer"}
    assert possible == always | {"page_up", "page_down", "to_start", "to_end"}
    await store.close()
