"""The rules of consent as a table."""

from __future__ import annotations

import pytest

from qwen3_chat.chat import ToolCall
from qwen3_chat.tools.consent import ConsentRules, Verdict
from qwen3_chat.tools.tool import Arguments, Reach, Tool


async def run(arguments: Arguments) -> str:
    return str(arguments)


HARMLESS = Tool("now", "", {"type": "object"}, run, Reach.NOTHING)
REACHING = Tool("fetch", "", {"type": "object"}, run)
CALL = ToolCall("fetch", '{"url": "https://example.com"}')
REPAIRED = ToolCall("fetch", CALL.arguments, is_repaired=True)

NOBODY = ConsentRules()
PERSON = ConsentRules(can_ask=True)
ALL = ConsentRules(allows_all=True)
NAMED = ConsentRules(allowed_names=frozenset({"fetch"}))


@pytest.mark.parametrize(
    ("rules", "tool", "call", "verdict"),
    [
        (NOBODY, HARMLESS, ToolCall("now", "{}"), Verdict.ALLOW),
        (NOBODY, HARMLESS, ToolCall("now", "{}", is_repaired=True), Verdict.DENY),
        (PERSON, HARMLESS, ToolCall("now", "{}", is_repaired=True), Verdict.ASK),
        (NOBODY, REACHING, CALL, Verdict.DENY),
        (PERSON, REACHING, CALL, Verdict.ASK),
        (ALL, REACHING, CALL, Verdict.ALLOW),
        (ALL, REACHING, REPAIRED, Verdict.DENY),
        (NAMED, REACHING, CALL, Verdict.ALLOW),
        (NAMED, REACHING, REPAIRED, Verdict.DENY),
    ],
)
def test_the_rules_decide(rules: ConsentRules, tool: Tool, call: ToolCall, verdict: Verdict) -> None:
    assert rules.verdict(tool, call) is verdict
