"""What `ask` prints of a turn with tools."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.cli.ask_command import AskOptions, TurnPrinter
from qwen3_chat.events import Notice, ReasoningDelta
from qwen3_chat.session import ToolCallFinished
from qwen3_chat.store.records import CallRecord, MessageMeta, StoredMessage, WholeResult
from qwen3_chat.texts import t
from qwen3_chat.tools.result_notes import NoPaths


class Paths(NoPaths):
    """A store that saved each result with a checksum."""

    def result_path(self, result: WholeResult) -> Path | None:
        return Path("/results/one") if result.sha256 else None


@pytest.mark.parametrize(
    ("whole", "note"),
    [
        (None, ""),
        (WholeResult(9_000, "0" * 64), "The whole result, 9,000 characters: /results/one\n"),
        (
            WholeResult(9_000, not_saved="not_written"),
            "The whole result, 9,000 characters, was not saved: the disk is full or can't be written to.\n",
        ),
    ],
)
def test_where_the_whole_of_a_cut_result_is_stands_below_it(
    capsys: pytest.CaptureFixture[str], whole: WholeResult | None, note: str
) -> None:
    printer = TurnPrinter(AskOptions())
    printer.paths = Paths()
    record = CallRecord(0, "calculator", "{}", "allowed_by_rule", whole=whole)
    message = ChatMessage(Role.TOOL, "42")
    printer.show(
        ToolCallFinished(StoredMessage(2, 1, 1, message, MessageMeta(call=record), datetime.now(UTC)))
    )
    out, err = capsys.readouterr()
    assert (out, err.partition("\n")[2]) == ("", note)


def test_a_notice_that_comes_while_the_model_thinks_begins_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer = TurnPrinter(AskOptions())
    printer.show(ReasoningDelta("I use calculator.", 1))
    printer.show(Notice("remote.call_lost"))
    printer.close()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[:3] == ["<think>", "I use calculator.", "</think>"]
    assert [line for line in lines[3:] if line] == [t("remote.call_lost")]
