"""Text between two places, as its source has it."""

from __future__ import annotations

import pytest

from qwen3_chat.transcript import Entry
from qwen3_chat.transcript.column import Column
from qwen3_chat.transcript.excerpt import Place, excerpt, hit
from qwen3_chat.transcript.rows import BEYOND, CopyAnswer, CopyCode, FoldThinking, OpenLink
from qwen3_chat.transcript.turn import ANSWER, REASONING, TURN, Turn

MARKDOWN = (
    "Some **bold** text that wraps.\n\n- 中文列表\n\n```python\nif x:\n\ty = 1\n```\n\n[docs](https://e.org)"
)


@pytest.fixture
def column() -> Column:
    column = Column()
    entries = [
        Entry("user", "Why?\nExplain.", header="You"),
        Entry("assistant", MARKDOWN, "First\nthen", "Qwen3", "Thought"),
        Entry("user", "Ok.", header="You"),
    ]
    column.fill(Turn(entry, "copy") for entry in entries)
    column.turns[1].chosen = True
    column.resize(22)
    for number in range(3):
        column.lay(number)
    return column


def answer(row: int, offset: int = 0, turn: int = 1) -> Place:
    return Place(turn * TURN + ANSWER + row, offset)


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (answer(0, 5), answer(0, 9), "bold"),
        (answer(0, 5), answer(0, BEYOND), "bold text that wraps."),
        (answer(0, 21), answer(2, 2), "raps.\n\n中文"),
        (answer(5), answer(6, BEYOND), "if x:\n\ty = 1"),
        (Place(TURN + REASONING, 0), answer(0, 4), "First\nthen\nSome"),
        (Place(TURN, 0), Place(TURN, BEYOND), "Qwen3"),
        (answer(1, 0, turn=0), answer(0, 4), "Explain.\n\nFirst\nthen\nSome"),
        (Place(0, 0), Place(3 * TURN, 0), f"Why?\nExplain.\n\n{MARKDOWN}\n\nOk."),
        (answer(1, 2, turn=0), answer(0, 2, turn=2), f"plain.\n\n{MARKDOWN}\n\nOk"),
        (answer(0, 0, turn=9), answer(0, 4, turn=9), ""),
    ],
)
def test_the_source_is_copied_not_the_screen(column: Column, start: Place, end: Place, text: str) -> None:
    assert excerpt(column, start, end) == text


def test_every_character_is_found_where_it_is_drawn(column: Column) -> None:
    found: list[tuple[str, str]] = []
    for y in range(column.height):
        turn, row = column.row(y)
        x = 0
        for text, _, _, offset in row.runs if row is not None else ():
            for number, character in enumerate(text):
                if offset >= 0 and character != " ":
                    assert row is not None
                    assert hit(column, x, y).place == Place(turn * TURN + row.logical, offset + number)
                    found.append((character, "first cell"))
                x += 2 if character > "\u2e80" else 1
    assert len(found) > 80


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("copy", CopyAnswer()),
        ("Thought", FoldThinking()),
        ("docs", OpenLink("https://e.org")),
        ("(https", OpenLink("https://e.org")),
        ("bold", None),
        ("python", None),
    ],
)
def test_a_pointer_finds_the_action_under_it(column: Column, word: str, action: object) -> None:
    drawn = {
        y: "".join(run[0] for run in row.runs) for y in range(column.height) if (row := column.row(y)[1])
    }
    y = next(y for y, text in drawn.items() if word in text)
    assert hit(column, drawn[y].index(word) + 1, y).action == action


def test_a_code_block_has_its_own_copy_button(column: Column) -> None:
    y = next(
        y
        for y in range(column.height)
        if (row := column.row(y)[1]) and any("python" in run[0] for run in row.runs)
    )
    assert hit(column, 19, y).action == CopyCode(0)


def test_beside_the_text_the_nearest_character_is_found(column: Column) -> None:
    assert hit(column, 99, 1).place == Place(ANSWER, 4)
    assert hit(column, 0, 1).place == Place(ANSWER, 0)
    assert hit(column, 5, 999).turn == 2
