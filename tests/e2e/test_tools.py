"""Tools in `ask`: what runs, what is printed, and what becomes of a call that was left open."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.cli.composition import require_confinement
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.jail.jail_settings import JailProblem
from qwen3_chat.store import ChatStore, MessageMeta
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission, PermissionScope
from tests.e2e.conftest import Program
from tests.pty_terminal import app_environment, pty_terminal
from tests.remote import wire_server


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
    assert (
        asked.stderr
        == "There is no tool weather. The tools are: now, calculator, python, read_file, list_files, fetch.\n"
    )


def test_the_tools_are_listed_for_people_and_programs(program: Program) -> None:
    assert "runs without asking" in program.run("tools").stdout
    rows = json.loads(program.run("tools", "--json").stdout)
    assert [row["name"] for row in rows] == list(BUILT_IN_TOOLS)
    assert all(row["schema_tokens"] > 0 or row["state"] == "off" for row in rows)
    assert [row["name"] for row in rows if row["consent"] == "allow"] == ["now", "calculator"]


def test_standing_permissions_are_listed_and_revoked(program: Program) -> None:
    (home,) = {Path(program.environment["QWEN3_CHAT_HOME"])}
    file = PermissionFile(home / "data" / "permissions.json")
    file.add(Permission("mcp:web.fetch", "0" * 64, PermissionScope.HOST, "https://example.com"))
    file.add(Permission("calculator", "0" * 64, PermissionScope.ARGUMENTS, '{"expression":"\x1b[31m1"}'))
    rows = {row["name"]: row for row in json.loads(program.run("tools", "--json").stdout)}
    assert rows["now"]["permissions"] == []
    assert rows["mcp:web.fetch"]["state"] == "missing"
    assert rows["mcp:web.fetch"]["permissions"] == [
        {"scope": "host", "value": "https://example.com", "outdated": True}
    ]
    assert "always allowed on https://example.com" in program.run("tools").stdout
    assert "总是允许访问 https://example.com" in program.run("tools", "--lang", "zh").stdout
    assert "\x1b" not in program.run("tools").stdout
    unknown = program.run("tools", "revoke", "weather")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "There is no tool weather and no standing permission for one.\n",
    )
    assert program.run("tools", "revoke", "mcp:web.fetch").stdout == "Standing permissions revoked: 1.\n"
    assert [permission.tool for permission in file.read()] == ["calculator"]
    assert program.run("tools", "revoke", "all").returncode == 0
    assert file.read() == ()
    assert program.run("tools", "revoke", "all").stdout == "There was no standing permission.\n"


def test_a_damaged_file_of_permissions_is_one_sentence(program: Program) -> None:
    data = Path(program.environment["QWEN3_CHAT_HOME"]) / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "permissions.json").write_text("{")
    listed = program.run("tools", "--json")
    assert listed.returncode == 0
    assert len(json.loads(listed.stdout)) == len(BUILT_IN_TOOLS)
    assert listed.stderr.count("\n") == 1
    assert "none of them applies" in listed.stderr


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


def damaged_call(request: wire_server.Request) -> wire_server.Reply:
    """Answer as a server whose model calls with JSON that lacks its end, then tells the result."""
    if request.method == "GET":
        return wire_server.json_reply(
            {"data": [{"id": "Qwen3-8B"}]}, 200 if "models" in request.path else 404
        )
    if b'"tool"' in request.body:
        chunks = [wire_server.chunk(content="It is "), wire_server.chunk("stop", content="42.")]
    else:
        call = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}\n</tool_call>'
        chunks = [wire_server.chunk(content="Let me see."), wire_server.chunk("stop", content=call)]
    return wire_server.Reply([*map(wire_server.event, chunks), wire_server.DONE])


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
@pytest.mark.parametrize(("typed", "decision"), [("once", "allow"), ("deny no sums", "deny"), (None, None)])
async def test_on_a_terminal_the_user_is_asked(
    tmp_path: Path, typed: str | None, decision: str | None
) -> None:
    async with wire_server.running(damaged_call) as server:
        options = ["--endpoint", server.url, "--tools", "calculator"]
        command = [sys.executable, "-m", "qwen3_chat", "ask", *options, "6*7?"]
        with pty_terminal(command, app_environment(tmp_path)) as terminal:
            asked = b", deny or edit: "
            assert await asyncio.to_thread(terminal.until, lambda: asked in terminal.output)
            assert b"Let me see.\r\nThe model wants to run calculator" in terminal.output
            if typed is None:
                os.killpg(terminal.process.pid, signal.SIGINT)
            else:
                terminal.type(b"once more\n")
                assert await asyncio.to_thread(terminal.until, lambda: terminal.output.count(asked) == 2)
                terminal.type(f"{typed}\n".encode())
            assert await asyncio.to_thread(terminal.until, terminal.has_ended)
            assert terminal.process.returncode == (130 if typed is None else 0)
            assert terminal.shows("It is 42.") == (typed is not None)
    store = await ChatStore.open(tmp_path / "data" / "chats.db")
    messages = await store.branch(1)
    await store.close()
    record = messages[2].meta.call
    assert record is not None
    if typed is not None:
        assert record.decision == decision
        assert ("no sums" in messages[2].message.content) == (decision == "deny")
    assert messages[2].message.role is Role.TOOL


def test_python_is_refused_where_it_cannot_be_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3_chat.tools.python_tool.jail_problem", lambda: JailProblem.KERNEL)
    require_confinement(("now",), unprotected_python=False)
    require_confinement(("python",), unprotected_python=True)
    with pytest.raises(UsageError, match=r"no Landlock.*--unprotected-python") as raised:
        require_confinement(("python",), unprotected_python=False)
    assert raised.value.code is ErrorCode.PYTHON_NOT_CONFINED
