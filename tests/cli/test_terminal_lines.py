"""What commands print into a terminal: within its columns, without a word broken in two."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.cli import models_command, stored_chats, terminal_lines
from qwen3_chat.cli.models_command import list_models
from qwen3_chat.cli.terminal_lines import fit_lines
from qwen3_chat.config import find_paths
from qwen3_chat.store import ChatStore
from qwen3_chat.texts import Language, set_language

TEXTS = st.lists(st.sampled_from(["Qwen3", "a", "模型", "，", "/very/long/path", "16.5 GiB", "（", "）"]))


@pytest.fixture(params=list(Language))
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    set_language(request.param)
    yield request.param
    set_language(Language.EN)


@pytest.mark.parametrize(
    ("text", "columns", "column", "lines"),
    [
        ("Needs 16 GiB, which are not free.", None, 0, ["Needs 16 GiB, which are not free."]),
        ("Needs 16 GiB, which are not free.", 20, 0, ["Needs 16 GiB, which", "are not free."]),
        ("! Needs 16 GiB, which are not free.", 24, 2, ["! Needs 16 GiB, which", "  are not free."]),
        ("内存   可用 16 GiB，模型可占 12 GiB", 27, 7, ["内存   可用 16 GiB，模型可", "       占 12 GiB"]),
        ("Disk free in /a/folder/with/a/long/path", 22, 0, ["Disk free in /a/folder/with/a/long/path"]),
        ("空间：/a/folder/with/a/long/path还有", 22, 0, ["空间：/a/folder/with/a/long/path还有"]),
        ("! in a window too narrow for any text", 15, 2, ["! in a window too narrow for any text"]),
        ("", 40, 4, [""]),
    ],
)
def test_a_sentence_is_broken_at_words(text: str, columns: int | None, column: int, lines: list[str]) -> None:
    assert list(fit_lines(text, columns, column)) == lines


@given(TEXTS, st.integers(20, 60), st.integers(0, 20))
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(
    parts: list[str], columns: int, column: int
) -> None:
    text = " " * column + " ".join(parts)
    lines = list(fit_lines(text, columns, column))
    assert "".join("".join(lines).split()) == "".join(text.split())
    room = columns - column
    if room >= 20 and all(len(part) <= room for part in " ".join(parts).split()):
        assert all(cell_len(line) <= columns for line in lines)
    else:
        assert lines == [text]


@pytest.mark.parametrize(
    ("columns", "quants"),
    [
        (None, ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]),
        (100, ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]),
        (80, ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]),
        (79, ["Q4_K_M", "Q6_K", "Q8_0"]),
        (60, ["Q4_K_M", "Q8_0"]),
        (40, ["Q4_K_M"]),
    ],
)
def test_the_list_of_models_fits_a_terminal(
    language: Language,
    columns: int | None,
    quants: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (terminal_lines, models_command):
        monkeypatch.setattr(module, "terminal_columns", lambda: columns)
    list_models(as_json=False, vram="0", ram="24GiB", n_ctx=None)
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line for line in lines if re.fullmatch(r" +Q4_K_M.*", line))
    assert head.split() == quants
    for line in lines:
        assert columns is None or cell_len(line) <= columns or "qwen3-chat pull" in line
    missing = {"Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"} - set(quants)
    told = [line for line in lines if line.startswith(("In a wider window", "窗口更宽"))]
    assert [set(re.findall(r"Q\w+", line)) for line in told] == ([missing] if missing else [])


@pytest.mark.parametrize(("columns", "title_cells"), [(None, 48), (100, 48), (60, 28), (30, 12)])
def test_titles_of_chats_have_the_room_that_a_terminal_leaves(
    columns: int | None,
    title_cells: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    async def store_chats() -> None:
        store = await ChatStore.open(find_paths().chats_file)
        for question in ("How high is the highest mountain that has ever been climbed?", "山" * 40, "Hi"):
            chat = await store.create_chat()
            await store.add_message(chat.id, None, ChatMessage(Role.USER, question))
        await store.close()

    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    monkeypatch.setattr(stored_chats, "terminal_columns", lambda: columns)
    asyncio.run(store_chats())
    stored_chats.list_chats(None, as_json=False)
    rows = capsys.readouterr().out.splitlines()
    ends = [re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d  1 message$", row) for row in rows]
    assert [cell_len(row[: end.start()]) for row, end in zip(rows, ends, strict=True) if end] == [
        3 + title_cells
    ] * 3
    assert [" …" in row for row in rows] == [False] * 3
    assert [row.count("…") for row in rows] == [0, 1, 1]
