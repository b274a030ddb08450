"""The text between two positions, as its source has it."""

from __future__ import annotations

import pytest

from qwen3_chat.transcript import MessageEntry
from qwen3_chat.transcript.message_view import ANSWER, MESSAGE_STRIDE, REASONING, MessageView
from qwen3_chat.transcript.styled_rows import BEYOND_TEXT, CopyAnswer, CopyCode, FoldThinking, OpenLink
from qwen3_chat.transcript.text_positions import TextPosition, selected_text, target_at
from qwen3_chat.transcript.transcript_layout import TranscriptLayout

MARKDOWN = (
    "Some **bold** text that wraps.\n\n- 中文列表\n\n```python\nif x:\n\ty = 1\n```\n\n[docs](https://e.org)"
)


@pytest.fixture
def layout() -> TranscriptLayout:
    layout = TranscriptLayout()
    entries = [
        MessageEntry("user", "Why?\nExplain.", header="You"),
        MessageEntry("assistant", MARKDOWN, "First\nthen", "Qwen3", "Thought"),
        MessageEntry("user", "Ok.", header="You"),
    ]
    layout.set_views(MessageView(entry, "copy") for entry in entries)
    layout.message_views[1].open_override = True
    layout.resize(22)
    for number in range(3):
        layout.layout(number)
    return layout


def answer(row: int, offset: int = 0, message_index: int = 1) -> TextPosition:
    return TextPosition(message_index * MESSAGE_STRIDE + ANSWER + row, offset)


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (answer(0, 5), answer(0, 9), "bold"),
        (answer(0, 5), answer(0, BEYOND_TEXT), "bold text that wraps."),
        (answer(0, 21), answer(2, 2), "raps.\n\n中文"),
        (answer(5), answer(6, BEYOND_TEXT), "if x:\n\ty = 1"),
        (TextPosition(MESSAGE_STRIDE + REASONING, 0), answer(0, 4), "First\nthen\nSome"),
        (TextPosition(MESSAGE_STRIDE, 0), TextPosition(MESSAGE_STRIDE, BEYOND_TEXT), "Qwen3"),
        (answer(1, 0, message_index=0), answer(0, 4), "Explain.\n\nFirst\nthen\nSome"),
        (TextPosition(0, 0), TextPosition(3 * MESSAGE_STRIDE, 0), f"Why?\nExplain.\n\n{MARKDOWN}\n\nOk."),
        (answer(1, 2, message_index=0), answer(0, 2, message_index=2), f"plain.\n\n{MARKDOWN}\n\nOk"),
        (answer(0, 0, message_index=9), answer(0, 4, message_index=9), ""),
    ],
)
def test_the_source_is_copied_not_the_screen(
    layout: TranscriptLayout, start: TextPosition, end: TextPosition, text: str
) -> None:
    assert selected_text(layout, start, end) == text


def test_every_character_is_found_where_it_is_drawn(layout: TranscriptLayout) -> None:
    found: list[tuple[str, str]] = []
    for y in range(layout.height):
        message_index, row = layout.row_at(y)
        x = 0
        for text, _, _, offset in row.runs if row is not None else ():
            for number, character in enumerate(text):
                if offset >= 0 and character != " ":
                    assert row is not None
                    assert target_at(layout, x, y).position == TextPosition(
                        message_index * MESSAGE_STRIDE + row.logical_row, offset + number
                    )
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
def test_a_pointer_finds_the_action_under_it(layout: TranscriptLayout, word: str, action: object) -> None:
    drawn = {
        y: "".join(run[0] for run in row.runs) for y in range(layout.height) if (row := layout.row_at(y)[1])
    }
    y = next(y for y, text in drawn.items() if word in text)
    assert target_at(layout, drawn[y].index(word) + 1, y).action == action


def test_a_code_block_has_its_own_copy_button(layout: TranscriptLayout) -> None:
    y = next(
        y
        for y in range(layout.height)
        if (row := layout.row_at(y)[1]) and any("python" in run[0] for run in row.runs)
    )
    assert target_at(layout, 19, y).action == CopyCode(0)


def test_beside_the_text_the_nearest_character_is_found(layout: TranscriptLayout) -> None:
    assert target_at(layout, 99, 1).position == TextPosition(ANSWER, 4)
    assert target_at(layout, 0, 1).position == TextPosition(ANSWER, 0)
    assert target_at(layout, 5, 999).message_index == 2
