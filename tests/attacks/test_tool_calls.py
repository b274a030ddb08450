from __future__ import annotations

import pytest

from attacks.report import Options
from attacks.tool_calls import attack, problems
from call_fates import Fate, FatedCall, read_reply
from qwen3_chat.chat import ToolCall

TEXT = '<tool_call>\n{"name": "f", "arguments": {"city": "Rome", "days": 7}}\n</tool_call>'
WHOLE = ToolCall("f", '{"city": "Rome", "days": 7}')


@pytest.mark.parametrize(("seed", "count"), [(1, 1_000), pytest.param(2, 5_000, marks=pytest.mark.full)])
def test_no_damaged_call_runs_unasked_or_gets_what_was_not_written(seed: int, count: int) -> None:
    failures = attack(Options(seed, count)).failures
    assert [failure for failure in failures if not failure.endswith(" s")] == []  # no test depends on speed


@pytest.mark.parametrize(
    ("fate", "call", "problem"),
    [
        (Fate.RUN, ToolCall("f", "{}"), "runs unasked"),
        (Fate.RUN, ToolCall("g", WHOLE.arguments), "runs unasked"),
        (Fate.ASKED, ToolCall("f", '{"city": "Rome", "days": 9}'), "was not written"),
        (Fate.ASKED, ToolCall("f", '{"city": "Rome"}'), "loses a part"),
    ],
)
def test_the_attack_notices_a_call_that_is_not_the_one_written(
    fate: Fate, call: ToolCall, problem: str
) -> None:
    (found, *_) = problems(TEXT, read_reply([TEXT], {"f"}), [FatedCall(fate, call)])
    assert found.startswith(problem)
    assert list(problems(TEXT, read_reply([TEXT], {"f"}), [FatedCall(fate, WHOLE)])) == []
