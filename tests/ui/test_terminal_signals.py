from __future__ import annotations

import asyncio

import pytest

from qwen3_chat.events import AnswerDelta
from qwen3_chat.ui.controllers import signal_controller
from qwen3_chat.ui.terminal_signals import (
    Notification,
    notification_of,
    notification_sequence,
    progress_sequence,
    shows_progress,
    title_sequence,
)
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, Start


@pytest.mark.parametrize(
    ("environment", "kind", "progress"),
    [
        ({"TERM": "xterm-256color"}, Notification.NONE, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, Notification.OSC_9, False),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, Notification.OSC_9, True),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, Notification.OSC_9, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, Notification.OSC_777, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7900"}, Notification.OSC_777, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "9" * 5000}, Notification.OSC_777, False),
        ({"TERM": "foot"}, Notification.OSC_777, False),
        ({"TERM": "xterm-256color", "WT_SESSION": "x"}, Notification.NONE, True),
        ({"TERM": "tmux-256color", "TMUX": "x", "TERM_PROGRAM": "ghostty"}, Notification.NONE, False),
    ],
)
def test_a_terminal_gets_only_what_it_understands(
    environment: dict[str, str], kind: Notification, progress: bool
) -> None:
    assert (notification_of(environment), shows_progress(environment)) == (kind, progress)


def test_no_text_ends_a_sequence_or_grows_without_end() -> None:
    hostile = "a\x07b\x1b\\c\x9cd\n\u202e;e" + "x" * 10_000
    for sequence in (title_sequence(hostile), notification_sequence(Notification.OSC_9, "app", hostile)):
        body = sequence.removesuffix("\x07").rstrip("\x07")
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e" for c in body[1:])
        assert len(sequence) < 200
    assert notification_sequence(Notification.OSC_777, "app", "a;b") == "\x1b]777;notify;app;a,b\x07\x07"
    assert notification_sequence(Notification.NONE, "app", "a") == "\x07"


@pytest.mark.parametrize(
    ("fraction", "is_running", "sequence"),
    [
        (None, True, "\x1b]9;4;3;0\x07"),
        (0.42, True, "\x1b]9;4;1;42\x07"),
        (7.0, True, "\x1b]9;4;1;100\x07"),
        (0.42, False, "\x1b]9;4;0;0\x07"),
    ],
)
def test_progress_is_a_share_or_unknown(fraction: float | None, is_running: bool, sequence: str) -> None:
    assert progress_sequence(fraction, is_running=is_running) == sequence


async def signals_of_a_turn(
    app: Harness,
    gate: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_focused: bool = False,
    **settings: str,
) -> list[str]:
    """Return what is written to the terminal in a turn in which another window gets the focus."""
    written: list[str] = []
    for name, value in settings.items():
        store = app.app._settings_store
        store.change(name, value)
        assert app.screen.apply_setting(store.settings, name)
    monkeypatch.setattr(app.app, "write_sequence", written.append)
    await app.say("Tell the secret")
    await app.until(lambda: app.shows("Once"))
    app.app.app_focus = is_focused  # a key gives the focus back
    gate.set()
    await app.until(lambda: not app.screen.is_answering)
    await app.until(lambda: not any(w.is_running for w in app.screen.workers if w.group == "turn"))
    return written


@pytest.fixture
def short_turns_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_controller, "LONG_TURN_S", 0.0)


def engine(gate: asyncio.Event) -> FakeEngine:
    return FakeEngine([AnswerDelta("Once"), gate, finished()])


async def test_title_and_notification_have_nothing_of_the_chat(
    start: Start, monkeypatch: pytest.MonkeyPatch, short_turns_count: None
) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        written = await signals_of_a_turn(app, gate, monkeypatch)
        assert "\x1b]2;Answering · qwen3-chat\x07" in written
        assert "\x07" in written
        assert written.index("\x07") > written.index("\x1b]2;Answering · qwen3-chat\x07")
        assert "\x1b]2;qwen3-chat\x07" in written
        assert "secret" not in "".join(written)


async def test_a_setting_adds_the_name_of_the_chat(
    start: Start, monkeypatch: pytest.MonkeyPatch, short_turns_count: None
) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        app.screen.signals._notification = Notification.OSC_9
        written = await signals_of_a_turn(app, gate, monkeypatch, terminal_title="chat")
        assert "\x1b]2;Tell the secret · qwen3-chat\x07" in written
        assert "\x1b]9;qwen3-chat: The answer is ready. Tell the secret\x07\x07" in written


async def test_settings_turn_signals_off(
    start: Start, monkeypatch: pytest.MonkeyPatch, short_turns_count: None
) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        assert (
            await signals_of_a_turn(app, gate, monkeypatch, notifications="off", terminal_title="off") == []
        )


async def test_nobody_is_called_back_who_is_there(
    start: Start, monkeypatch: pytest.MonkeyPatch, short_turns_count: None
) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        assert "\x07" not in await signals_of_a_turn(app, gate, monkeypatch, is_focused=True)


async def test_nobody_is_called_back_who_has_just_left(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        assert "\x07" not in await signals_of_a_turn(app, gate, monkeypatch)


async def test_progress_is_shown_where_the_terminal_has_it_and_ends(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(engine(gate := asyncio.Event())) as app:
        app.screen.signals._shows_progress = True
        written = await signals_of_a_turn(app, gate, monkeypatch)
        shown = [sequence for sequence in written if sequence.startswith("\x1b]9;4")]
        assert shown == ["\x1b]9;4;3;0\x07", "\x1b]9;4;0;0\x07"]
