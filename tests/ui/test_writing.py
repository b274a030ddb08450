from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from textual.events import Key, Paste

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.documents.attachments import Attachment, split_attachments
from qwen3_chat.ui.attachable_files import list_attachable_files
from qwen3_chat.ui.completion import (
    CompletionKind,
    CompletionTrigger,
    find_trigger,
    matching_files,
    typed_command,
    unescaped,
)
from qwen3_chat.ui.input_history import InputHistory
from qwen3_chat.ui.screens.help_screen import HelpScreen
from tests.fakes import FakeEngine
from tests.harness import Harness, Start
from tests.tools.test_fetch_tool import response, serving

LONG = "".join(f"line {number}\twith “quotes”, 中文 and ``` fences\n" for number in range(10_000))


@pytest.mark.parametrize(
    ("before", "row", "expected"),
    [
        ("/", 0, CompletionTrigger(CompletionKind.COMMAND, "", 0)),
        ("/exp", 0, CompletionTrigger(CompletionKind.COMMAND, "exp", 0)),
        ("/no_th", 0, CompletionTrigger(CompletionKind.COMMAND, "no_th", 0)),
        ("/exp", 1, None),
        ("//", 0, None),
        ("/usr/bin", 0, None),
        ("/export now", 0, None),
        (" /exp", 0, None),
        ("@", 3, CompletionTrigger(CompletionKind.FILE, "", 0)),
        ("look at @src/ma", 0, CompletionTrigger(CompletionKind.FILE, "src/ma", 8)),
        ("看 @文件", 0, CompletionTrigger(CompletionKind.FILE, "文件", 2)),
        ("me@example", 0, None),
        ("@a b", 0, None),
    ],
)
def test_what_is_typed_asks_for_a_command_a_file_or_nothing(
    before: str, row: int, expected: CompletionTrigger | None
) -> None:
    assert find_trigger(before, row) == expected


@pytest.mark.parametrize(
    ("text", "name", "sent"),
    [
        ("/export", "export", "/export"),
        (" /export\n", "export", " /export\n"),
        ("/", None, "/"),
        ("//", None, "//"),
        ("//export", None, "/export"),
        ("//not a command", None, "//not a command"),
        ("/usr/bin", None, "/usr/bin"),
        ("/export this", None, "/export this"),
        ("/Users", None, "/Users"),
    ],
)
def test_a_path_or_a_second_slash_is_text(text: str, name: str | None, sent: str) -> None:
    assert (typed_command(text), unescaped(text)) == (name, sent)


def test_files_that_fit_best_come_first() -> None:
    paths = ["src/main.py", "main.rs", "docs/maintenance.md", "a/domain.txt", "x/m/a/i/n.c", "other"]
    assert matching_files("main", paths) == [
        "main.rs",
        "src/main.py",
        "docs/maintenance.md",
        "a/domain.txt",
        "x/m/a/i/n.c",
    ]


@pytest.mark.parametrize("is_repository", [True, False])
def test_hidden_and_ignored_files_are_left_out(tmp_path: Path, is_repository: bool) -> None:
    for name in ("a.txt", "b/c.txt", ".hidden", "b/.secret/d", "node_modules/x.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    if is_repository:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        (tmp_path / ".gitignore").write_text("node_modules\n*.log\n")
        (tmp_path / "x.log").write_text("x")
    assert list_attachable_files(tmp_path) == ["a.txt", "b/c.txt"]


def test_the_history_keeps_edits_and_what_was_begun() -> None:
    history = InputHistory()
    history.reset(["one", "two"])
    assert [history.walk(-1, "begun"), history.walk(-1, "two!"), history.walk(-1, "one")] == [
        "two",
        "one",
        None,
    ]
    assert [history.walk(1, "one"), history.walk(1, "two!"), history.walk(1, "begun")] == [
        "two!",
        "begun",
        None,
    ]
    history.add("three")
    history.add("three")
    assert [history.walk(-1, ""), history.walk(-1, "three")] == ["three", "two"]


def test_a_walk_through_the_history_goes_on_when_older_texts_come_in() -> None:
    history = InputHistory()
    history.reset(["three", "four"])
    assert history.walk(-1, "begun") == "four"
    history.prepend(["one", "three", "two"])
    assert [history.walk(-1, "four"), history.walk(-1, "three!"), history.walk(-1, "two")] == [
        "three",
        "two",
        "one",
    ]
    assert [history.walk(1, "one"), history.walk(1, "two"), history.walk(1, "three!")] == [
        "two",
        "three!",
        "four",
    ]
    assert history.walk(1, "four") == "begun"


async def paste(app: Harness, text: str) -> None:
    """Paste a text as a terminal does, with carriage returns for line ends."""
    app.app.post_message(Paste(text.replace("\n", "\r")))
    await app.pilot.pause()


async def test_a_paste_of_ten_thousand_lines_is_one_line_above_the_input(start: Start) -> None:
    async with start() as app:
        await paste(app, LONG)
        await app.sees("▤ Pasted text 1 · 10,000 lines · 10 tok")
        assert app.screen.input.text == ""
        await app.turn("What is this?")
        content = app.session.messages[0].message.content
        assert LONG in content
        assert split_attachments(content) == ("What is this?", (Attachment("Pasted text 1", LONG),))
        assert (await app.store.branch(app.session.messages[0].chat_id))[0].message.content == content
        assert not app.screen.input.attachments
        await app.sees("▤ Pasted text 1 · 10,000 lines")
        assert not app.shows("line 9999")
        await app.pilot.press("up")
        assert app.screen.input.text == "What is this?"


async def test_a_paste_that_no_context_holds_is_refused(start: Start) -> None:
    async with start() as app:
        await paste(app, "x" * (4 * 1024**2 + 1))
        await app.sees("What was pasted is")
        assert not app.screen.input.attachments


async def test_what_is_longer_than_the_context_is_reported_before_it_is_sent(start: Start) -> None:
    async with start(FakeEngine(tokens_per_message=600)) as app:
        await paste(app, LONG)
        await app.sees("Pasted text 1 · 10,000 lines · 600 tok")
        assert not app.shows("more than")
        await paste(app, LONG + "more")
        await app.sees("Together 1200 tokens: more than the context of 1000 holds.")


async def test_a_short_paste_is_text_and_a_break_in_it_sends_nothing(start: Start) -> None:
    async with start() as app:
        await paste(app, "one\ntwo\n")
        assert app.screen.input.text == "one\ntwo\n"
        assert app.session.messages == ()


async def test_attachments_go_one_by_one_with_backspace_or_a_click(start: Start) -> None:
    async with start() as app:
        for _ in range(3):
            await paste(app, LONG)
        await app.sees("Pasted text 3")
        await app.pilot.press("x", "backspace", "backspace")
        await app.until(lambda: len(app.screen.input.attachments) == 2)
        await app.pilot.click("AttachmentLine")
        await app.until(lambda: [a.name for a in app.screen.input.attachments] == ["Pasted text 2"])


async def test_a_file_is_found_by_a_few_letters_and_attached(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text("x = 1\n")
    (folder / "notes.md").write_text("notes\n")
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(folder)
    async with start() as app:
        await app.pilot.press(*"read @")
        await app.sees("src/main.py")
        await app.pilot.press(*"mai")
        await app.until(lambda: not app.shows("notes.md"))
        await app.pilot.press("enter")
        await app.sees("▤ main.py · 1 line")
        assert app.screen.input.text == "read main.py "
        await app.pilot.press(*" @photo", "tab")
        await app.sees("is a picture")
        assert len(app.screen.input.attachments) == 1


async def test_an_address_after_an_at_attaches_its_page(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('private_hosts = ["127.0.0.1"]\n', "utf-8")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    page = response("<h1>Berries</h1><p>Three.</p>", "text/html")
    async with serving({"/page": page}) as site, start(FakeEngine(), (100, 30)) as app:
        url = f"http://127.0.0.1:{site.port}/page"
        app.screen.input.insert(f"sum up @{url}")
        await app.sees("attach this page")
        await app.pilot.press("enter")
        await app.sees(f"▤ {url} · 3 lines")
        assert app.screen.input.text == f"sum up {url} "
        assert app.screen.input.attachments == (Attachment(url, "# Berries\n\nThree.\n"),)
        app.screen.input.insert(f"@{url}s")
        await app.sees("attach this page")
        await app.pilot.press("tab")
        await app.sees("status 404")
        assert len(app.screen.input.attachments) == 1


async def test_an_address_of_this_network_is_not_attached(start: Start) -> None:
    async with start() as app:
        app.screen.input.insert("@http://169.254.169.254/latest")
        await app.sees("attach this page")
        await app.pilot.press("enter")
        await app.sees("private")
        assert not app.screen.input.attachments


async def test_attachments_survive_a_restart(start: Start) -> None:
    async with start() as app:
        await paste(app, LONG)
        await app.pilot.press(*"why")
        await app.screen.shutdown()
    async with start() as app:
        await app.sees("▤ Pasted text 1 · 10,000 lines")
        await app.until(lambda: app.screen.input.text == "why")


async def test_a_command_is_completed_and_given(start: Start) -> None:
    async with start() as app:
        await app.pilot.press("/", "h", "e")
        await app.sees("/help")
        await app.pilot.press("enter")
        assert isinstance(app.app.screen, HelpScreen)
        assert app.screen.input.text == ""


async def test_tab_completes_escape_leaves_and_arrows_choose(start: Start) -> None:
    async with start() as app:
        await app.pilot.press(*"/fold")
        await app.sees("/fold_all")
        await app.pilot.press("down", "tab")
        assert app.screen.input.text == "/fold_all"
        await app.pilot.press("backspace")
        await app.until(lambda: app.screen.widgets.completions.trigger)
        await app.pilot.press("escape")
        assert app.screen.widgets.completions.trigger is None
        assert app.screen.input.text == "/fold_al"


def type_at_once(app: Harness, text: str) -> None:
    """Send keys without a pause, as they arrive over a slow connection."""
    names = {"\x7f": "backspace", "\r": "enter"}
    for character in text:
        app.app.post_message(Key(names.get(character, character), character))


async def test_keys_that_come_at_once_act_in_their_order(start: Start) -> None:
    async with start() as app:
        type_at_once(app, "hello\x7f\x7f\x7fxy")
        await app.until(lambda: app.screen.input.text == "hexy")
        type_at_once(app, "\x7fz")
        await app.until(lambda: app.screen.input.text == "hexz")


async def test_what_is_typed_right_after_sending_stays_in_the_box(start: Start) -> None:
    async with start() as app:
        type_at_once(app, "hello\rnext")
        await app.until(lambda: len(app.session.messages) == 2)
        assert app.session.messages[0].message.content == "hello"
        await app.until(lambda: app.screen.input.text == "next")


async def test_what_is_typed_right_after_sending_stays_wherever_the_caret_was(start: Start) -> None:
    async with start() as app:
        app.screen.input.insert("hello")
        app.screen.input.move_cursor((0, 2))
        type_at_once(app, "\rnext")
        await app.until(lambda: len(app.session.messages) == 2)
        assert app.session.messages[0].message.content == "hello"
        await app.until(lambda: app.screen.input.text == "next")


async def test_choices_above_the_input_leave_the_chat_its_width(start: Start) -> None:
    async with start() as app:
        before = app.screen.transcript.size.width
        await app.pilot.press("slash")
        await app.sees("/toggle_mode")
        assert app.screen.transcript.size.width == before


async def test_a_command_that_is_unknown_or_impossible_is_reported_and_kept(start: Start) -> None:
    async with start() as app:
        await app.say("/exprot")
        await app.sees("There is no command /exprot")
        assert app.screen.input.text == "/exprot"
        await app.say("/export")
        await app.sees("/export is not available now.")
        assert app.session.messages == ()


async def test_tags_and_paths_are_text_and_two_slashes_make_one(start: Start) -> None:
    async with start() as app:
        await app.say("/no_think")
        await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
        await app.turn("/usr/bin")
        await app.until(lambda: not app.screen.is_answering)
        await app.turn("//help")
        assert [stored.message.content for stored in app.session.messages[::2]] == ["/usr/bin", "/help"]
