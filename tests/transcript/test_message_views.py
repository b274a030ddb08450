"""Message views as rows: header, pane, answer, note."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sample_chat import chat
from qwen3_chat.transcript import MessageEntry, ThinkingDisplay
from qwen3_chat.transcript.message_view import MessageView

REPLY = MessageEntry("assistant", "Three.", "\nCount.\n\nAgain.\n", "Qwen3", "Thought 2 s", "stopped")


def lines(entry: MessageEntry, width: int = 24, **state: bool | ThinkingDisplay | None) -> list[str]:
    view = MessageView(entry, "copy")
    for name, value in state.items():
        setattr(view, name, value)
    view.layout(width)
    assert view.rows is not None
    assert view.height == len(view.rows) + 1
    return ["".join(run[0] for run in row.runs).rstrip() for row in view.rows]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (MessageEntry("user", "a\n\nb\n", header="You"), ["▌ You               copy", "▌ a", "▌", "▌ b"]),
        (MessageEntry("notice", "Not sent."), ["· Not sent."]),
        (MessageEntry("system", "Be brief.", header="System"), ["· System", "· Be brief."]),
        (MessageEntry("assistant", "**a**"), ["  a"]),
        (MessageEntry("user", "**a** <b> [x]"), ["▌ **a** <b> [x]"]),
        (MessageEntry("assistant", "", header="Qwen3"), ["  Qwen3             copy"]),
        (MessageEntry("assistant", "", header="A model with a long name"), ["  A model with a l… copy"]),
        (MessageEntry("assistant", "a", " \n "), ["  a"]),
        (MessageEntry("assistant", "", note="stopped"), ["  stopped"]),
    ],
)
def test_each_role_has_its_look(entry: MessageEntry, expected: list[str]) -> None:
    assert lines(entry) == expected


def test_thinking_folds_to_its_header() -> None:
    head, tail = "  Qwen3             copy", ["", "  Three.", "", "  stopped"]
    assert lines(REPLY, open_override=False) == [head, "  ▸ Thought 2 s", *tail]
    pane = ["  ▾ Thought 2 s", "  │ Count.", "  │", "  │ Again."]
    assert lines(REPLY, open_override=True) == [head, *pane, *tail]


@pytest.mark.parametrize(
    ("display", "answer", "open_override", "is_open"),
    [
        (ThinkingDisplay.AUTO, "", None, True),
        (ThinkingDisplay.AUTO, "\n", None, True),
        (ThinkingDisplay.AUTO, "a", None, False),
        (ThinkingDisplay.AUTO, "a", True, True),
        (ThinkingDisplay.AUTO, "", False, False),
        (ThinkingDisplay.OPEN, "a", None, True),
        (ThinkingDisplay.OPEN, "a", False, False),
        (ThinkingDisplay.CLOSED, "", None, False),
        (ThinkingDisplay.CLOSED, "", True, True),
    ],
)
def test_the_readers_choice_wins_over_the_setting(
    display: ThinkingDisplay, answer: str, open_override: bool | None, is_open: bool
) -> None:
    view = MessageView(MessageEntry("assistant", answer, "why"))
    view.thinking_display, view.open_override = display, open_override
    assert view.is_open is is_open


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "\n", "\n\n", " ", "think ", "思考"]),
        st.sampled_from(["", "a", "\n", "\n\n", "- x\n", "```\n", "**b** ", "好。"]),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(pieces=PIECES, open_override=st.sampled_from([None, True, False]))
def test_a_live_turn_has_the_rows_of_a_complete_one(
    pieces: list[tuple[str, str]], open_override: bool | None
) -> None:
    view = MessageView(MessageEntry("assistant", header="Qwen3", reasoning_header="Thinking"), "copy")
    view.open_override = open_override
    view.layout(30)
    for reasoning, answer in pieces:
        before = [row.runs for row in view.rows or ()]
        changed = view.append(reasoning, answer)
        view.layout(30)
        assert view.rows is not None
        if changed is not None:
            assert [row.runs for row in view.rows[:changed]] == before[:changed]
    texts = "".join(answer for _, answer in pieces), "".join(reasoning for reasoning, _ in pieces)
    assert lines(MessageEntry("assistant", *texts, "Qwen3", "Thinking"), 30, open_override=open_override) == [
        "".join(run[0] for run in row.runs).rstrip() for row in view.rows or ()
    ]


def test_titles_change_without_a_layout() -> None:
    view = MessageView(REPLY, "copy")
    view.layout(30)
    view.reasoning_header = "Thought 3 s"
    assert view.update_titles(30) == [1]
    view.note = ""
    assert view.update_titles(30) is None


@pytest.mark.parametrize("width", [40, 76, 116])
def test_estimates_are_close(width: int) -> None:
    for entry in chat(5):
        view = MessageView(entry, "copy")
        view.estimate_height(width)
        guess = view.height
        view.layout(width)
        assert abs(guess - view.height) <= max(2, 0.15 * view.height)
