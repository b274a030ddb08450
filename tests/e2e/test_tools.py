"""Tools in `ask`: what runs, what is printed, and what becomes of a call that was left open."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.store import ChatStore, MessageMeta
from tests.e2e.conftest import Program


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("Compute 345 * 12.", "calculator", {"expression": "345 * 12"}),
        ("计算 48 * 76", "calculator", {"expression": "48 * 76"}),
        ("What time is it in Paris?", "now", {"location": "Paris"}),
    ],
)
def test_the_demo_model_calls_a_tool_and_answers_with_its_result(
    program: Program, question: str, name: str, arguments: dict[str, str]
) -> None:
    asked = program.run("ask", "--demo", "--seed", "1", "--tools", "now,calculator", "--json", question)
    answer = json.loads(asked.stdout)
    first, second = answer["steps"]
    (call,) = first["tool_calls"]
    assert (call["name"], call["arguments"]) == (name, arguments)
    assert (call["decision"], call["is_error"], call["repaired"]) == ("allowed_by_rule", False, False)
    assert second["tool_calls"] == []
    assert (answer["answer"], answer["reasoning"]) == (second["answer"], second["reasoning"])
    result = json.loads(call["result"])
    assert str(result["time"] if name == "now" else result) in answer["answer"]
    assert (asked.returncode, answer["error"]) == (0, None)


def test_a_tool_that_does_not_exist_is_a_wrong_usage(program: Program) -> None:
    asked = program.run("ask", "--demo", "--tools", "weather", "Hi")
    assert asked.returncode == 2
    assert asked.stderr == "There is no tool weather. The tools are: now, calculator.\n"


def test_the_tools_are_listed_for_people_and_programs(program: Program) -> None:
    assert "runs unasked" in program.run("tools").stdout
    rows = json.loads(program.run("tools", "--json").stdout)
    assert [row["name"] for row in rows] == ["now", "calculator"]
    assert all(row["schema_tokens"] > 0 and row["consent"] == "allow" for row in rows)


def test_a_call_that_was_left_open_is_ended_before_the_next_question(program: Program) -> None:
    program.run("ask", "--demo", "--max-tokens", "4", "Hi")
    (database,) = Path(program.environment["QWEN3_CHAT_HOME"]).rglob("chats.db")
    asyncio.run(leave_a_call_open(database))
    asked = program.run(
        "ask", "--demo", "--chat", "last", "--tools", "calculator", "--json", "Compute 6 * 7."
    )
    assert asked.returncode == 0
    assert [step["answer"] for step in json.loads(asked.stdout)["steps"]][-1]
    exported = json.loads(program.run("export", "last", "--format", "json").stdout)
    assert [message["role"] for message in exported["messages"]][:4] == ["user", "assistant", "tool", "user"]


async def leave_a_call_open(database: Path) -> None:
    """Store a chat whose app was killed between a call and its result."""
    store = await ChatStore.open(database)
    chat = await store.create_chat()
    question = await store.add_message(chat.id, None, ChatMessage(Role.USER, "How much?"), MessageMeta())
    call = ToolCall("calculator", '{"expression": "1"}')
    reply = ChatMessage(Role.ASSISTANT, "", tool_calls=(call,))
    await store.add_message(chat.id, question.id, reply, MessageMeta(stop_reason=StopReason.TOOL_CALLS))
    await store.close()
