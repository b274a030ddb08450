"""The transcript in an application: following, folding, selecting, clicking, streaming."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import MouseDown, MouseMove, MouseScrollUp, MouseUp
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import SELECT_ALL
from textual.theme import Theme
from textual.widgets import Input

from benchmarks.sample_chat import answer, chat
from qwen3_chat.transcript import MessageEntry, ThinkingDisplay
from qwen3_chat.transcript.markdown_section import MarkdownSection
from qwen3_chat.transcript.message_view import MessageView
from qwen3_chat.transcript.styled_rows import Row
from qwen3_chat.ui.widgets.growing_entry import PIECE_CHARACTERS
from qwen3_chat.ui.widgets.transcript import Transcript
from tests.conftest import WAIT_LIMIT_S
from tests.transcript.host import Host, shown

LIVE = MessageEntry("assistant", header="Qwen3", reasoning_header="Thinking…")
THOUGHT = MessageEntry("assistant", "The answer.", "why\n" * 5, "Qwen3", "Thought 2 s")
LONG = "\n\n".join(f"Paragraph {number}." for number in range(60))


def cell_of(transcript: Transcript, text: str) -> Offset:
    """Return the cell of the widget where a text is drawn."""
    for y, row in enumerate(shown(transcript)):
        if text in row:
            return Offset(row.index(text) + transcript.gutter.left, y + transcript.gutter.top)
    raise AssertionError(f"{text!r} is not on the screen: {shown(transcript)}")


def flushed(transcript: Transcript, *, reasoning: str = "", text: str = "") -> None:
    if reasoning:
        transcript.write_reasoning(reasoning)
    if text:
        transcript.write_answer(text)
    transcript.flush(now=True)


async def test_a_chat_opens_at_its_end() -> None:
    host = Host([MessageEntry("user", LONG, header="You")])
    async with host.run_test(size=(60, 20)):
        assert shown(host.transcript)[-2:] == ["▌ Paragraph 59.", ""]
        assert host.transcript.following


async def test_another_chat_replaces_the_first() -> None:
    host = Host(chat(3))
    async with host.run_test(size=(60, 20)):
        host.transcript.scroll_home()
        host.transcript.show([MessageEntry("user", "Hi", header="You")])
        assert [row for row in shown(host.transcript) if row][1:] == ["▌ Hi"]
        assert host.transcript.following


async def test_an_empty_chat_is_blank_and_harmless() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)) as pilot:
        assert not any(shown(host.transcript))
        for key in ("up", "pagedown", "home", "end"):
            await pilot.press(key)
        await pilot.click(Transcript, offset=(3, 3), times=2)
        host.transcript.toggle_thinking()
        host.transcript.toggle_all_thinking()
        host.transcript.copy_answer()
        host.transcript.set_note("x")
        host.transcript.flush()
        host.transcript.finish(LIVE)


async def test_keys_move_by_rows_and_pages() -> None:
    host = Host([MessageEntry("user", "\n".join(map(str, range(100))))])
    async with host.run_test(size=(60, 21)) as pilot:

        async def first_after(key: str) -> str:
            await pilot.press(key)
            return shown(host.transcript)[0]

        assert host.transcript.screen_rows == 20
        assert await first_after("home") == "▌ 0"
        assert await first_after("down") == "▌ 1"
        assert await first_after("pagedown") == "▌ 21"
        assert await first_after("pageup") == "▌ 1"
        assert await first_after("end") == "▌ 81"
        assert await first_after("up") == "▌ 80"


# Guessed as 12 rows at a width of 37 cells, but it takes 24.
LOW = MessageEntry("user", "\n".join(f"{number:02} {'a' * 34}" for number in range(12)))
TALL = MessageEntry("user", "\n".join(f"line {number}" for number in range(100)))
# Guessed as 30 rows, but it takes one.
HIGH = MessageEntry(
    "assistant", "The end.\n\n" + "\n".join(f"[{number}]: http://a.b" for number in range(28))
)


def jump(transcript: Transcript, index: int, row: int) -> None:
    """Go to a row of a message as if nothing else of the chat had been shown before."""
    transcript.following = False
    transcript.transcript_layout.resize(transcript.transcript_layout.width)
    transcript.scroll_to_row(index, row)


async def test_a_page_back_is_a_page_also_where_the_beginning_is_higher_than_guessed() -> None:
    host = Host([LOW, TALL])
    async with host.run_test(size=(40, 20)) as pilot:
        jump(host.transcript, 1, 3)
        await pilot.press("pageup")
        assert shown(host.transcript)[:2] == ["▌ " + "a" * 34, "▌ 05"]
        assert shown(host.transcript)[-3:] == ["▌ line 0", "▌ line 1", "▌ line 2"]
        await pilot.press("pageup")
        assert shown(host.transcript)[0] == "▌ 00"


async def test_the_beginning_is_reached_at_once_from_two_pages_below() -> None:
    host = Host([LOW, TALL])
    async with host.run_test(size=(40, 20)) as pilot:
        jump(host.transcript, 1, 15)
        await pilot.press("home")
        assert shown(host.transcript)[0] == "▌ 00"


async def test_a_page_on_is_a_page_also_where_the_end_is_higher_than_guessed() -> None:
    host = Host([TALL, LOW])
    async with host.run_test(size=(40, 20)) as pilot:
        jump(host.transcript, 0, 78)
        await pilot.press("pagedown")
        assert shown(host.transcript)[:5] == [*(f"▌ line {number}" for number in (97, 98, 99)), "", "▌ 00"]
        assert not host.transcript.following
        await pilot.press("pagedown")
        assert shown(host.transcript)[-2:] == ["▌ " + "a" * 34, ""]
        assert host.transcript.following


async def test_the_end_is_followed_when_it_comes_sooner_than_guessed() -> None:
    host = Host([TALL, HIGH])
    async with host.run_test(size=(40, 20)) as pilot:
        jump(host.transcript, 0, 65)
        await pilot.press("pagedown")
        assert shown(host.transcript)[-2:] == ["  The end.", ""]
        assert host.transcript.following


# following


async def test_the_reader_at_the_end_follows_what_is_written() -> None:
    host = Host(chat(2))
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(LIVE)
        flushed(host.transcript, text=LONG)
        assert shown(host.transcript)[-2] == "  Paragraph 59."
        assert not host.transcript.unseen


async def test_the_reader_elsewhere_stays_and_is_told() -> None:
    host = Host(chat(2))
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.press("pageup", "pageup")
        before = shown(host.transcript)
        host.transcript.begin(LIVE)
        flushed(host.transcript, text=LONG)
        await pilot.pause()
        assert shown(host.transcript) == before
        assert vars(host.received[-1]) == {"following": False, "unseen": True}
        await pilot.press("end")
        await pilot.pause()
        assert vars(host.received[-1]) == {"following": True, "unseen": False}


async def test_moving_back_to_the_end_follows_again() -> None:
    host = Host(chat(2))
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.press("up")
        assert not host.transcript.following
        await pilot.press("down")
        assert host.transcript.following


async def test_the_wheel_moves_and_leaves_the_end() -> None:
    host = Host(chat(2))
    async with host.run_test(size=(60, 20)) as pilot:
        before = shown(host.transcript)
        await pilot._post_mouse_events([MouseScrollUp], Transcript, offset=(5, 5))
        assert shown(host.transcript) != before
        assert not host.transcript.following


@pytest.mark.parametrize("size", [(40, 20), (100, 20), (60, 30), (60, 9)])
async def test_resizing_keeps_the_text_on_top(size: tuple[int, int]) -> None:
    host = Host(chat(4))
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.press("pageup", "pageup", "pageup")
        anchor = host.transcript._anchor
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert (host.transcript._anchor.message_index, host.transcript._anchor.logical_row) == (
            anchor.message_index,
            anchor.logical_row,
        )


# thinking


async def test_live_thinking_is_open_and_folds_when_the_answer_starts() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        transcript = host.transcript
        transcript.begin(LIVE)
        flushed(transcript, reasoning="\nHm, **so**")
        assert [row for row in shown(transcript) if row][1:] == ["  ▾ Thinking…", "  │ Hm, **so**"]
        transcript.set_reasoning_header("Thought 1 s")
        flushed(transcript, text="**Yes**")
        assert [row for row in shown(transcript) if row][1:] == ["  ▸ Thought 1 s", "  Yes"]


@pytest.mark.parametrize(("toggles", "is_open"), [(0, False), (1, False), (2, True)])
async def test_what_the_reader_chose_outlives_the_start_of_the_answer(toggles: int, is_open: bool) -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(LIVE)
        flushed(host.transcript, reasoning="Hm")
        for _ in range(toggles):
            host.transcript.toggle_thinking()
        flushed(host.transcript, text="Yes")
        assert ("  │ Hm" in shown(host.transcript)) is is_open
        host.transcript.finish(MessageEntry("assistant", "Yes", "Hm", "Qwen3", "Thought 1 s"))
        assert ("  │ Hm" in shown(host.transcript)) is is_open


async def test_thinking_that_is_being_read_stays_open_when_the_answer_starts() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        flushed(host.transcript, reasoning="\n".join(map(str, range(50))))
        await pilot.press("pageup")
        before = shown(host.transcript)
        flushed(host.transcript, text="Yes")
        assert shown(host.transcript) == before


async def test_thinking_without_an_answer_stays_open() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(LIVE)
        flushed(host.transcript, reasoning="Hm")
        host.transcript.finish(MessageEntry("assistant", "", "Hm", "Qwen3", "Thought 1 s", "stopped"))
        rows = [row for row in shown(host.transcript) if row][1:]
        assert rows == ["  ▾ Thought 1 s", "  │ Hm", "  stopped"]


async def test_no_thinking_draws_no_pane() -> None:
    host = Host([MessageEntry("assistant", "Yes", "\n\n", "Qwen3", "Thought 0 s")])
    async with host.run_test(size=(60, 20)):
        assert not any("Thought" in row for row in shown(host.transcript))


async def test_a_key_folds_the_pane_nearest_to_the_reader() -> None:
    host = Host([THOUGHT, MessageEntry("user", "Ok"), THOUGHT, MessageEntry("user", LONG)])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.press("home")
        host.transcript.toggle_thinking()
        opened = [view.is_open for view in host.transcript.transcript_layout.message_views]
        assert opened == [False, False, True, False]


async def test_unfolding_a_pane_above_the_screen_shows_its_beginning() -> None:
    host = Host([MessageEntry("assistant", LONG, "first thought\n" * 30, "Qwen3", "Thought 2 s")])
    async with host.run_test(size=(60, 20)):
        host.transcript.toggle_thinking()
        assert shown(host.transcript)[:2] == ["  ▾ Thought 2 s", "  │ first thought"]
        host.transcript.toggle_thinking()
        assert shown(host.transcript)[0] == "  ▸ Thought 2 s"


async def test_all_panes_fold_and_unfold_together() -> None:
    host = Host(chat(3))
    async with host.run_test(size=(60, 20)):
        panes = [view for view in host.transcript.transcript_layout.message_views if view.has_thinking]
        panes[1].open_override = True
        for expected in (False, True, False):
            host.transcript.toggle_all_thinking()
            assert {view.is_open for view in panes} == {expected}


@pytest.mark.parametrize(
    ("display", "is_open"),
    [(ThinkingDisplay.AUTO, False), (ThinkingDisplay.OPEN, True), (ThinkingDisplay.CLOSED, False)],
)
async def test_the_setting_decides_until_the_reader_does(display: ThinkingDisplay, is_open: bool) -> None:
    host = Host([THOUGHT, THOUGHT])
    async with host.run_test(size=(60, 40)):
        host.transcript.toggle_thinking()
        chosen = host.transcript.transcript_layout.message_views[1].is_open
        host.transcript.thinking_display = display
        assert [view.is_open for view in host.transcript.transcript_layout.message_views] == [is_open, chosen]
        host.transcript.append(THOUGHT)
        assert host.transcript.transcript_layout.message_views[2].is_open is is_open


async def test_a_click_on_the_header_folds() -> None:
    host = Host([THOUGHT])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.click(Transcript, offset=cell_of(host.transcript, "Thought"))
        assert "  │ why" in shown(host.transcript)
        await pilot.click(Transcript, offset=cell_of(host.transcript, "▾"))
        assert "  │ why" not in shown(host.transcript)


# the live entry


async def test_a_streamed_answer_looks_like_a_complete_one() -> None:
    text, whole = answer(1), Host()
    async with whole.run_test(size=(80, 100)):
        whole.transcript.append(MessageEntry("assistant", text, "why", "Qwen3", "Thought 1 s"))
        expected = shown(whole.transcript)
    host = Host()
    async with host.run_test(size=(80, 100)):
        host.transcript.begin(LIVE)
        flushed(host.transcript, reasoning="why")
        for at in range(0, len(text), 50):
            flushed(host.transcript, text=text[at : at + 50])
        host.transcript.set_reasoning_header("Thought 1 s")
        host.transcript.flush(now=True)
        assert shown(host.transcript) == expected
        host.transcript.finish(MessageEntry("assistant", text, "why", "Qwen3", "Thought 1 s"))
        assert shown(host.transcript) == expected


def row_text(row: Row) -> list[str]:
    return [run[0] for run in row.runs]


def longest_piece(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that keeps the length of the longest text laid out at once from now on."""
    longest = [0]
    feed = MarkdownSection.feed

    def measure(section: MarkdownSection, text: str) -> None:
        longest[0] = max(longest[0], len(text))
        feed(section, text)

    monkeypatch.setattr(MarkdownSection, "feed", measure)
    return longest


FLOOD = "Some **words**.\n\n" * 2000


async def test_a_flood_is_laid_out_in_pieces_while_it_comes_and_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest, host = longest_piece(monkeypatch), Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        flushed(host.transcript, text=FLOOD)
        host.transcript.finish(MessageEntry("assistant", FLOOD + "The end.", "", "Qwen3-4B", note="stopped"))
        assert "  The end." not in shown(host.transcript)
        host.transcript.copy_answer()
        while "  The end." not in shown(host.transcript):
            await pilot.pause(0.01)
        assert 0 < longest[0] <= PIECE_CHARACTERS + 2  # and line ends that were held back
        copies = [message.text for message in host.received if isinstance(message, Transcript.CopyRequested)]
        assert copies == [FLOOD + "The end."]
        (view,) = host.transcript.transcript_layout.message_views
        whole = MessageView(view.entry, "copy")
        whole.layout(host.transcript.transcript_layout.width)
        assert [row_text(row) for row in view.rows or ()] == [row_text(row) for row in whole.rows or ()]


@pytest.mark.parametrize("length", [150_000, pytest.param(1_700_000, marks=pytest.mark.full)])
async def test_a_long_answer_stays_on_the_screen_under_many_resizes(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    code = "Row of code.\n" * (length // 13)
    host = Host([MessageEntry("assistant", f"```\n{code}```\n\nThe end.", "", "Qwen3")])
    async with host.run_test(size=(60, 20)) as pilot:
        assert "  The end." in shown(host.transcript)
        fed, feed = list[int](), MarkdownSection.feed

        def measure(section: MarkdownSection, text: str) -> None:
            fed.append(len(text))
            feed(section, text)

        monkeypatch.setattr(MarkdownSection, "feed", measure)
        for number in range(30):
            await pilot.resize_terminal(50 + number % 7, 15 + number % 5)
            rows = shown(host.transcript)
            assert "  The end." in rows
            assert sum("Row of code." in row for row in rows) > 5
        await pilot.resize_terminal(90, 30)
        async with asyncio.timeout(WAIT_LIMIT_S):
            while host.transcript.transcript_layout.width < 80:
                await pilot.pause(0.01)
        assert "  The end." in shown(host.transcript)
        assert sum(fed) <= 3 * length  # a busy machine may have wrapped it in between


async def test_a_reply_that_begins_while_the_one_before_is_still_shown_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest, host = longest_piece(monkeypatch), Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        host.transcript.write_answer(FLOOD + "The end.")
        host.transcript.finish(MessageEntry("assistant", FLOOD + "The end.", "", "Qwen3"))
        host.transcript.begin(LIVE)
        host.transcript.write_answer("Yes")
        host.transcript.finish(MessageEntry("assistant", "Yes", "", "Qwen3"))
        while "  The end." not in shown(host.transcript):
            await pilot.pause(0.01)
        assert shown(host.transcript)[-2:] == ["  Yes", ""]
        assert longest[0] <= PIECE_CHARACTERS + 2  # and line ends that were held back


async def test_an_entry_that_changes_while_it_is_still_shown_has_its_text_once() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        flushed(host.transcript, text=FLOOD)
        host.transcript.finish(MessageEntry("assistant", FLOOD + "The end.", "", "Qwen3", key=7))
        host.transcript.grey_out({7}, "not sent")
        await pilot.pause(0.2)
        (view,) = host.transcript.transcript_layout.message_views
        assert view.answer == FLOOD + "The end."
        assert not view.is_live


async def test_text_of_a_reply_that_never_ends_is_shown_whole() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        host.transcript.write_answer(FLOOD + "The end.")
        host.transcript.begin(LIVE)
        while "  The end." not in shown(host.transcript):
            await pilot.pause(0.01)


async def test_what_is_written_appears_by_itself() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.begin(LIVE)
        host.transcript.write_answer("Yes")
        while "  Yes" not in shown(host.transcript):
            await pilot.pause(0.01)


async def test_notes_and_headers_change_while_the_entry_lives_and_after() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        transcript = host.transcript
        transcript.begin(LIVE)
        transcript.set_note("waiting")
        transcript.flush(now=True)
        assert "  waiting" in shown(transcript)
        transcript.finish(MessageEntry("assistant", "Yes", header="Qwen3"))
        transcript.set_note("stopped")
        transcript.set_header("Qwen3-4B")
        rows = [row for row in shown(transcript) if row]
        assert rows[0].split() == ["Qwen3-4B", "copy"]
        assert rows[-1] == "  stopped"


async def test_an_entry_added_while_another_lives_stays_below_it() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(LIVE)
        flushed(host.transcript, text="One")
        host.transcript.append(MessageEntry("notice", "Slow disk."))
        flushed(host.transcript, text=" two")
        rows = [row for row in shown(host.transcript) if row][1:]
        assert rows == ["  One two", "· Slow disk."]


async def test_pieces_that_come_too_late_are_dropped() -> None:
    host = Host()
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(LIVE)
        host.transcript.show([MessageEntry("user", "Another chat")])
        host.transcript.write_answer("late")
        host.transcript.flush(now=True)
        host.transcript.begin(LIVE)
        flushed(host.transcript, text="new")
        assert [row for row in shown(host.transcript) if row][-1] == "  new"


# clicks and selection


async def test_a_click_asks_for_a_link_and_never_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([MessageEntry("assistant", "See [docs](https://e.org/a?b=1).")])
    monkeypatch.setattr(host, "open_url", lambda *_, **__: pytest.fail("opened"))
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.click(Transcript, offset=cell_of(host.transcript, "docs"))
        assert {"url": "https://e.org/a?b=1"} in map(vars, host.received)


async def test_a_selection_that_ends_on_a_link_does_not_follow_it() -> None:
    host = Host([MessageEntry("assistant", "See [docs](https://e.org/a?b=1).")])
    async with host.run_test(size=(60, 20)) as pilot:
        await _drag(pilot, cell_of(host.transcript, "See"), cell_of(host.transcript, "docs"))
        await pilot.pause()
        assert not host.received
        assert host.screen.get_selected_text() == "See d"


async def test_two_quick_clicks_follow_a_link_once() -> None:
    host = Host([MessageEntry("assistant", "See [docs](https://e.org/a?b=1).")])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.click(Transcript, offset=cell_of(host.transcript, "docs"), times=2)
        assert [vars(message) for message in host.received] == [{"url": "https://e.org/a?b=1"}]


async def test_buttons_ask_for_copies_of_the_source() -> None:
    source = "**Yes**\n\n```sh\nls\t-l\n```"
    host = Host([MessageEntry("assistant", source, header="Qwen3")])
    async with host.run_test(size=(60, 20)) as pilot:
        heads = [y for y, row in enumerate(shown(host.transcript)) if row.endswith("copy")]
        x = host.transcript.transcript_layout.width - 2
        for y in heads:
            await pilot.click(Transcript, offset=(x, y))
        host.transcript.copy_answer()
        await pilot.pause()
        copies = [message.text for message in host.received if isinstance(message, Transcript.CopyRequested)]
        assert copies == [source, "ls\t-l", source]


async def _drag(pilot: Pilot[None], start: Offset, end: Offset) -> None:
    """Send what a terminal sends; `Pilot.mouse_up` would leave out the click that Textual makes of it."""
    for kind, at in ((MouseDown, start), (MouseMove, end), (MouseUp, end)):
        pilot.app.post_message(kind(None, at.x, at.y, 0, 0, 1, False, False, False, at.x, at.y))
        await pilot.pause()


async def test_dragging_selects_characters_and_copies_their_source() -> None:
    host = Host([MessageEntry("assistant", "Some **bold** 中文 text.\n\n- item one")])
    async with host.run_test(size=(60, 20)) as pilot:
        await _drag(pilot, cell_of(host.transcript, "bold"), cell_of(host.transcript, "one"))
        assert host.screen.get_selected_text() == "bold 中文 text.\n\nitem o"


async def test_a_selection_survives_scrolling_and_resizing() -> None:
    host = Host([MessageEntry("assistant", "Some bold text.\n\n" + LONG)])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.press("home")
        await _drag(pilot, cell_of(host.transcript, "bold"), cell_of(host.transcript, "text"))
        await pilot.press("end")
        await pilot.resize_terminal(30, 12)
        assert host.screen.get_selected_text() == "bold t"


async def test_what_is_selected_is_marked() -> None:
    host = Host([MessageEntry("assistant", "Some `bold` text.")])
    async with host.run_test(size=(60, 20)) as pilot:
        at = cell_of(host.transcript, "bold")
        await _drag(pilot, at, at + Offset(2, 0))
        marked = host.screen.get_component_rich_style("screen--selection").bgcolor
        strip = host.transcript.render_line(0)
        assert "".join(part.text for part in strip if part.style and part.style.bgcolor == marked) == "bol"


async def test_a_double_click_selects_one_logical_row() -> None:
    host = Host([MessageEntry("assistant", "word " * 30 + "\n\nother")])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.click(Transcript, offset=(10, 1), times=2)
        assert host.screen.get_selected_text() == ("word " * 30).strip()


async def test_a_double_click_on_a_formula_selects_its_row_and_gives_the_source() -> None:
    host = Host([MessageEntry("assistant", r"so $\frac{a}{b}$ is")])
    async with host.run_test(size=(60, 20)) as pilot:
        await pilot.click(Transcript, offset=cell_of(host.transcript, "a/b"), times=2)
        assert host.screen.get_selected_text() == r"so $\frac{a}{b}$ is"


async def test_the_source_of_formulas_is_shown_and_hidden_again_while_an_answer_grows() -> None:
    host = Host([MessageEntry("assistant", "$x^2$")])
    async with host.run_test(size=(60, 20)):
        host.transcript.begin(MessageEntry("assistant"))
        flushed(host.transcript, text="$y^2$ and $z")
        for draws, rows in ((False, ["  $x^2$", "  $y^2$ and $z"]), (True, ["  x²", "  y² and $z"])):
            host.transcript.draws_formulas = draws
            assert [row for row in shown(host.transcript) if row] == rows
        flushed(host.transcript, text="^2$")
        assert "  y² and z²" in shown(host.transcript)


async def test_everything_selected_is_the_source_of_every_message() -> None:
    host = Host([MessageEntry("user", "Why?"), MessageEntry("assistant", "**So**", "hm")])
    async with host.run_test(size=(60, 20)):
        host.screen.selections = {host.transcript: SELECT_ALL}
        assert host.screen.get_selected_text() == "Why?\n\n**So**"


# looks


async def test_a_theme_changes_the_colours_and_not_the_layout() -> None:
    host = Host(chat(1))
    async with host.run_test(size=(60, 60)) as pilot:
        host.register_theme(Theme("red", primary="#ff0000", background="#100000", foreground="#ffeeee"))
        rows, before = shown(host.transcript), [host.transcript.render_line(y) for y in range(50)]
        host.theme = "red"
        await pilot.pause()
        after = [host.transcript.render_line(y) for y in range(50)]
        assert shown(host.transcript) == rows
        assert all(old != new for old, new in zip(before, after, strict=True) if old.text.strip())


async def test_every_row_fills_the_width_in_the_colours_of_the_theme() -> None:
    host = Host([*chat(1), MessageEntry("notice", "n"), MessageEntry("user", "中文\tx " * 40)])
    async with host.run_test(size=(61, 80)):
        for y in range(80 - 1):
            strip = host.transcript.render_line(y)
            assert strip.cell_length == host.transcript.transcript_layout.width
            assert all(part.style is not None and part.style.bgcolor is not None for part in strip)


async def test_text_cannot_emit_escapes_or_markup() -> None:
    evil = "\x1b[31m[red]x[/red]\x07\x9b2J\u202eabc\r\n[@click=app.quit]y[/]"
    host = Host(
        [MessageEntry(role, evil, evil, evil, evil, evil) for role in ("user", "assistant", "notice")]
    )
    async with host.run_test(size=(60, 60)):
        host.transcript.toggle_all_thinking()
        rows = shown(host.transcript)
        assert all(character.isprintable() for row in rows for character in row)
        assert sum("[red]x[/red]" in row for row in rows) >= 9


async def test_many_rows_are_laid_out_and_few_are_kept() -> None:
    host = Host(chat(150))
    async with host.run_test(size=(80, 40)):
        views = host.transcript.transcript_layout.message_views
        assert sum(view.rows is not None for view in views) <= 3
        for _ in range(100):
            host.transcript.scroll_page_up()
        assert 10 < sum(view.rows is not None for view in views) < 150


async def test_keys_typed_into_an_input_draw_nothing_of_the_transcript(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host(chat(2))
    async with host.run_test(size=(60, 20)) as pilot:
        host.query_one(Input).focus()
        await pilot.pause()
        for widget in (host.transcript, host.transcript.vertical_scrollbar):
            monkeypatch.setattr(widget, "render_line", lambda y: pytest.fail("drawn"))
        await pilot.press("t", "c")
        assert host.query_one(Input).value == "tc"
