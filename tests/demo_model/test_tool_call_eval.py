"""The judgement of what a model did with a question about a tool."""

from __future__ import annotations

import pytest

from demo_model.exchange import Language
from demo_model.tool_questions import TIME, ExpectedCall, ToolQuestion
from eval_tool_calls import Trial, Verdict, lines
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.store.records import CallRecord

PRODUCT = ExpectedCall("calculator", {"expression": "6 * 7"}, "42")
CLOCK = ExpectedCall("now", {"location": "Rome"}, TIME)
QUESTION = ToolQuestion(Language.EN, ThinkingMode.THINK, "6 * 7, and the time in Rome?", (PRODUCT, CLOCK))
CALLS = (
    CallRecord(0, "calculator", '{"expression":"6 * 7"}', "allowed_by_rule"),
    CallRecord(1, "now", '{"location": "Rome"}', "allowed_by_rule"),
)
RESULTS = ("42", '{"time": "10:30"}')
FAILED = CallRecord(1, "now", '{"location": "Rome"}', "deny", is_error=True)
UNREAD = CallRecord(1, "now", "<tool_call>", "deny", is_error=True)


@pytest.mark.parametrize(
    ("calls", "answer", "failure", "verdict"),
    [
        (CALLS, "It is **42**, and 10:30.", "", Verdict.RIGHT),
        (CALLS, "It is 42.", "", Verdict.OTHER_ANSWER),
        (CALLS[:1], "It is 42 and 10:30.", "", Verdict.OTHER_NUMBER),
        (CALLS[::-1], "It is 42 and 10:30.", "", Verdict.OTHER_TOOL),
        ((CALLS[0], UNREAD), "It is 42 and 10:30.", "", Verdict.OTHER_ARGUMENTS),
        ((CALLS[0], FAILED), "It is 42 and 10:30.", "", Verdict.NOT_RUN),
        ((), "It is 42 and 10:30.", "", Verdict.NO_CALL),
        (CALLS, "It is 42 and 10:30.", "The engine died.", Verdict.FAILED),
    ],
)
def test_an_answer_is_right_only_with_the_calls_and_what_they_returned(
    calls: tuple[CallRecord, ...], answer: str, failure: str, verdict: Verdict
) -> None:
    trial = Trial(QUESTION, calls, RESULTS[: len(calls)], answer, failure)
    assert trial.verdict is verdict
    n_right = int(verdict is Verdict.RIGHT)
    assert next(lines([trial], "demo")) == f"demo: {n_right} of 1 right ({100 * n_right:.1f}%)"
