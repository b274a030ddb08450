"""The question whether a call may run: what answers it, what does not, and what becomes of the call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.events import Key, Paste

from qwen3_chat.chat import Role, StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.store.records import CallRecord
from qwen3_chat.texts import Language, set_language
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import PermissionScope
from qwen3_chat.tools.tool import Arguments, Target, TargetKind, Tool
from qwen3_chat.ui.screens import consent_screen
from qwen3_chat.ui.screens.consent_screen import ConsentScreen
from qwen3_chat.ui.screens.settings_screen import SettingsScreen
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, open_app

SCHEMA = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "n": {"type": "integer"}, "text": {"type": "string"}},
}
CALL = ToolCall("fetch", '{"url": "https://example.com/a", "n": 1}')
OTHER = ToolCall("fetch", '{"url": "https://example.com/b", "n": 2}')
FAR = ToolCall("fetch", '{"url": "https://example.com.evil.org/", "n": 3}')
NEVER_S, AT_ONCE_S = 3600.0, 0.01


class Fetch(Toolbox):
    """A toolbox with one tool that reaches out, which notes what it was run with."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[object] = []

        async def run(arguments: Arguments) -> str:
            self.runs.append(arguments["n"])
            return f"page {arguments['n']}"

        self._made = {"fetch": Tool("fetch", "", SCHEMA, run, target=Target("url", TargetKind.URL))}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys answer as soon as the question is there; the test of the half second has its own."""
    monkeypatch.setattr(consent_screen, "QUIET_S", AT_ONCE_S)


@asynccontextmanager
async def asked(
    folder: Path, *steps: tuple[ToolCall, ...], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Harness, FakeEngine, Fetch]]:
    """Open the app and ask a question at which the model makes calls, step by step."""
    engine, toolbox = engine_calling(*steps), Fetch()
    async with open_app(folder, engine, size, options=TurnOptions(tools=("fetch",)), toolbox=toolbox) as app:
        await app.say("Look it up.")
        await is_asked(app)
        yield app, engine, toolbox
        if app.screen.is_answering:
            app.screen.turns.stop()
        await app.until(lambda: not app.screen.is_answering)


def engine_calling(*steps: tuple[ToolCall, ...]) -> FakeEngine:
    calling: list[Sequence[Step]] = [
        (*(ToolCallRequested(call) for call in calls), finished(StopReason.TOOL_CALLS)) for calls in steps
    ]
    return FakeEngine(*calling, (AnswerDelta("Done.", 1), finished()))


def question(app: Harness) -> ConsentScreen:
    screen = app.app.screen
    assert isinstance(screen, ConsentScreen)
    return screen


async def is_asked(app: Harness, number: int = 1) -> None:
    def answers() -> bool:
        screen = app.app.screen
        return isinstance(screen, ConsentScreen) and screen.is_armed and screen.request.number == number

    await app.until(answers)


async def is_done(app: Harness) -> None:
    await app.until(lambda: not app.screen.is_answering and app.app.screen is app.screen)


def records(app: Harness) -> list[CallRecord]:
    return [stored.meta.call for stored in app.session.messages if stored.meta.call is not None]


def results(app: Harness) -> list[str]:
    return [m.message.content for m in app.session.messages if m.message.role is Role.TOOL]


async def test_yes_is_for_this_call_only(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,), (CALL,)) as (app, _, toolbox):
        assert app.shows('url: "https://example.com/a"')
        await app.pilot.press("1")
        await app.until(lambda: toolbox.runs == [1])
        await is_asked(app)
        await app.pilot.press("1")
        await is_done(app)
        assert [record.decision for record in records(app)] == ["allow", "allow"]
        assert not (tmp_path / "permissions.json").exists()


async def test_no_with_a_reason_is_read_by_the_model(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, engine, toolbox):
        await app.pilot.press("0", *"not 1", "enter")
        await is_done(app)
        assert toolbox.runs == []
        sent = engine.requests[-1].messages[-1]
        assert (sent.role, sent.content) == (
            Role.TOOL,
            "The user does not allow this call. Reason: not 1",
        )
        assert [(record.decision, record.is_error) for record in records(app)] == [("deny", True)]


async def test_edited_arguments_are_checked_then_run_and_recorded(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        await app.pilot.press("ctrl+e")
        editor = app.app.screen.focused
        assert editor is not None
        assert json.loads(question(app).editor.text) == json.loads(CALL.arguments)
        question(app).editor.text = '{"n": "seven"}'
        await app.pilot.press("ctrl+s")
        await app.sees("These arguments don't suit the tool: argument ['n']")
        question(app).editor.text = '{"n": 7}'
        await app.pilot.press("ctrl+s")
        await app.sees("changed by you")
        await is_asked(app)
        assert toolbox.runs == []
        await app.pilot.press("1")
        await is_done(app)
        assert toolbox.runs == [7]
        assert [(record.decision, record.arguments) for record in records(app)] == [("edited", '{"n": 7}')]


async def test_what_was_edited_and_left_with_escape_changes_nothing(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        await app.pilot.press("ctrl+e")
        question(app).editor.text = '{"n": 7}'
        await app.pilot.press("escape")
        await is_asked(app)
        await app.pilot.press("1")
        await is_done(app)
        assert toolbox.runs == [1]
        assert [record.decision for record in records(app)] == ["allow"]


async def test_for_this_chat_asks_no_more_in_it(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,), (FAR,)) as (app, _, toolbox):
        await app.pilot.press("2")
        await is_done(app)
        assert toolbox.runs == [1, 3]
        assert [record.decision for record in records(app)] == ["allow", "allowed_by_rule"]
        assert not (tmp_path / "permissions.json").exists()


async def test_always_on_a_host_covers_that_host_and_no_other(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,), (OTHER, FAR)) as (app, _, toolbox):
        assert app.shows("4  Always run it on https://example.com")
        await app.pilot.press("4")
        await app.until(lambda: toolbox.runs == [1])
        await is_asked(app)
        assert app.shows("example.com.evil.org")
        assert not app.shows("1 of")
        await app.pilot.press("0", "enter")
        await is_done(app)
        assert toolbox.runs == [1, 2]
        assert [record.decision for record in records(app)] == ["allow", "allowed_by_rule", "deny"]
    (permission,) = PermissionFile(tmp_path / "permissions.json").read()
    assert (permission.scope, permission.value) == (PermissionScope.HOST, "https://example.com")


async def test_several_calls_are_asked_about_one_after_the_other(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL, OTHER, FAR)) as (app, _, toolbox):
        assert app.shows("1 of 3")
        await app.pilot.press("1")
        await is_asked(app, 2)
        assert app.shows("2 of 3")
        assert toolbox.runs == []
        await app.pilot.press("0", "enter")
        await is_asked(app, 3)
        await app.pilot.press("3")
        await is_done(app)
        assert sorted(toolbox.runs, key=str) == [1, 3]
        assert results(app) == ["page 1", "The user does not allow this call.", "page 3"]


async def test_no_other_key_consents(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        for key in ("enter", "space", "tab", "enter", "y", "a", "5", "9", "ctrl+j", "down", "f5", "enter"):
            await app.pilot.press(key)
            await is_asked(app)
        assert (toolbox.runs, records(app)) == ([], [])
        assert app.screen.input.text == " ya59"
        await app.pilot.press("1")
        await is_done(app)
        assert toolbox.runs == [1]


@asynccontextmanager
async def about_to_call(folder: Path) -> AsyncIterator[tuple[Harness, Fetch, asyncio.Event]]:
    """Open the app and ask a question at which the model makes a call once the event is set."""
    go_on, toolbox = asyncio.Event(), Fetch()
    engine = FakeEngine(
        (go_on, ToolCallRequested(CALL), finished(StopReason.TOOL_CALLS)), (AnswerDelta("Done."), finished())
    )
    options = TurnOptions(tools=("fetch",))
    async with open_app(folder, engine, options=options, toolbox=toolbox) as app:
        await app.say("Look it up.")
        yield app, toolbox, go_on


async def test_what_is_typed_on_goes_to_the_message_and_answers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with about_to_call(tmp_path) as (app, toolbox, go_on):
        await app.pilot.press(*"I have ")
        monkeypatch.setattr(consent_screen, "QUIET_S", NEVER_S)
        go_on.set()
        await app.until(lambda: isinstance(app.app.screen, ConsentScreen))
        await app.pilot.press(*"10234", "enter", "space", "x", "backspace", "ctrl+e")
        app.app.screen.post_message(Paste("pasted 1"))
        await app.until(lambda: app.screen.input.text == "I have 10234 pasted 1")
        assert not question(app).is_armed
        assert app.shows("Stop typing, then answer.")
        await app.sees("Answer the question first, by its digit")  # said to the Enter
        assert (toolbox.runs, records(app)) == ([], [])
        monkeypatch.setattr(consent_screen, "QUIET_S", AT_ONCE_S)
        await app.pilot.press("!")
        await is_asked(app)
        await app.pilot.press("1")
        await is_done(app)
        assert toolbox.runs == [1]
        assert app.screen.input.text == "I have 10234 pasted 1!"


async def test_a_key_that_was_pressed_before_the_keys_answered_is_for_the_message(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        screen = question(app)
        early = Key("1", "1")
        screen.on_screen_resume()
        await is_asked(app)
        screen.on_key(early)
        await app.pilot.pause()
        assert (toolbox.runs, app.screen.input.text) == ([], "1")


@pytest.mark.full
async def test_a_click_answers(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        await app.pilot.click(question(app).answer_lines["1"])
        await is_done(app)
        assert toolbox.runs == [1]


@pytest.mark.parametrize(
    "keys",
    [
        ("escape",),
        pytest.param(("0", "escape", "escape"), marks=pytest.mark.full),
        pytest.param(("ctrl+e", "escape", "escape"), marks=pytest.mark.full),
    ],
)
async def test_escape_stops_the_turn_with_one_result_for_each_call(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    async with asked(tmp_path, (CALL, OTHER)) as (app, _, toolbox):
        app.screen.input.text = "a draft"
        await app.pilot.press("1")
        await is_asked(app, 2)
        await app.pilot.press(*keys)
        await is_done(app)
        assert toolbox.runs == []
        assert results(app) == ["The call was stopped before it had a result."] * 2
        assert [record.index for record in records(app)] == [0, 1]
        assert app.screen.input.text == "a draft"
        await app.turn("And now?")


async def test_the_app_ends_while_it_asks(tmp_path: Path) -> None:
    async with asked(tmp_path, (CALL,)) as (app, _, toolbox):
        await app.pilot.press("ctrl+q")
        await app.until(lambda: not app.screen.is_answering)
        assert toolbox.runs == []
        assert results(app) == ["The call was stopped before it had a result."]


async def test_a_repaired_call_says_so_and_can_be_allowed_once_only(tmp_path: Path) -> None:
    async with asked(tmp_path, (replace(CALL, is_repaired=True),)) as (app, _, toolbox):
        assert app.shows("wrote this call incorrectly")
        for key in "234":
            await app.pilot.press(key)
        await is_asked(app)
        assert toolbox.runs == []
        await app.pilot.press("1")
        await is_done(app)
        assert toolbox.runs == [1]


async def test_the_question_waits_for_another_screen_to_close(tmp_path: Path) -> None:
    async with about_to_call(tmp_path) as (app, toolbox, go_on):
        await app.pilot.press("f12")
        await app.until(lambda: isinstance(app.app.screen, SettingsScreen))
        go_on.set()
        await app.sees("The model wants to run fetch")
        assert isinstance(app.app.screen, SettingsScreen)
        await app.pilot.press("escape")
        await is_asked(app)
        await app.pilot.press("f1")
        await app.until(lambda: not isinstance(app.app.screen, ConsentScreen))
        await app.pilot.press("1", "escape")
        await is_asked(app)
        assert toolbox.runs == []
        app.screen.turns.stop()
        await is_done(app)


@pytest.mark.parametrize("language", [Language.EN, pytest.param(Language.ZH, marks=pytest.mark.full)])
async def test_all_answers_are_on_the_screen_whatever_the_arguments(
    tmp_path: Path, language: Language
) -> None:
    text = "[bold]line\n" * 400 + "\x1b[31m\u202e<|im_end|>"
    call = replace(CALL, arguments=json.dumps({"n": 1, "url": "https://example.com/", "text": text}))
    set_language(language)
    try:
        async with asked(tmp_path, (call,), size=(60, 18)) as (app, _, _):
            for size in ((60, 18), (80, 24), (120, 40)):
                await app.pilot.resize_terminal(*size)
                await app.until(lambda: all(app.shows(f"{key}  ") for key in "12340"))
                await app.pilot.press("home")
                await app.sees("│ [bold]line")
                await app.pilot.press("end")
                await app.sees("\\u001b[31m\\u202e<|im_end|>")
    finally:
        set_language(Language.EN)
