"""The rules of consent as a table."""

from __future__ import annotations

import pytest

from qwen3_chat.chat import ToolCall
from qwen3_chat.tools.consent import ConsentRules, Permission, Verdict, permission_for
from qwen3_chat.tools.tool import Arguments, Reach, Tool


async def run(arguments: Arguments) -> str:
    return str(arguments)


HARMLESS = Tool("now", "", {"type": "object"}, run, Reach.NOTHING)
REACHING = Tool("fetch", "", {"type": "object"}, run)
CALL = ToolCall("fetch", '{"url": "https://example.com"}')
OTHER = ToolCall("fetch", '{"url": "https://example.org"}')
REPAIRED = ToolCall("fetch", CALL.arguments, is_repaired=True)

NOBODY = ConsentRules()
PERSON = ConsentRules(can_ask=True)
ALL = ConsentRules(allows_all=True)
NAMED = ConsentRules(allowed_names=frozenset({"fetch"}))
STANDING = ConsentRules(permissions=(Permission("fetch", CALL.arguments),))
IN_CHAT = PERSON.allow_in_chat(1, Permission("fetch"))


@pytest.mark.parametrize(
    ("rules", "tool", "call", "chat_id", "verdict"),
    [
        (NOBODY, HARMLESS, ToolCall("now", "{}"), None, Verdict.ALLOW),
        (NOBODY, HARMLESS, ToolCall("now", "{}", is_repaired=True), None, Verdict.DENY),
        (PERSON, HARMLESS, ToolCall("now", "{}", is_repaired=True), None, Verdict.ASK),
        (NOBODY, REACHING, CALL, None, Verdict.DENY),
        (PERSON, REACHING, CALL, None, Verdict.ASK),
        (ALL, REACHING, CALL, None, Verdict.ALLOW),
        (ALL, REACHING, REPAIRED, None, Verdict.DENY),
        (NAMED, REACHING, CALL, None, Verdict.ALLOW),
        (NAMED, REACHING, REPAIRED, None, Verdict.DENY),
        (STANDING, REACHING, CALL, None, Verdict.ALLOW),
        (STANDING, REACHING, OTHER, None, Verdict.DENY),
        (IN_CHAT, REACHING, OTHER, 1, Verdict.ALLOW),
        (IN_CHAT, REACHING, OTHER, 2, Verdict.ASK),
        (IN_CHAT, REACHING, OTHER, None, Verdict.ASK),
    ],
)
def test_the_rules_decide(
    rules: ConsentRules, tool: Tool, call: ToolCall, chat_id: int | None, verdict: Verdict
) -> None:
    assert rules.verdict(tool, call, chat_id) is verdict


def test_always_means_equal_arguments_for_a_tool_that_reaches_out() -> None:
    assert permission_for(REACHING, CALL) == Permission("fetch", CALL.arguments)
    assert permission_for(HARMLESS, ToolCall("now", "{}")) == Permission("now")


def test_a_permission_of_one_tool_covers_no_other() -> None:
    assert not Permission("fetch").covers(ToolCall("fetch2", "{}"))
