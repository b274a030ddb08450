"""The tool `python` in chats: problems that people have, and what it says at its limits."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from qwen3_chat.chat import Role, ToolCall
from qwen3_chat.jail.jail_settings import JailProblem, JailSettings, jail_problem
from qwen3_chat.jail.jailed_python import CodeRun, RunEnd
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.tools import python_tool
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.consent import ConsentRules
from qwen3_chat.tools.python_tool import MAX_INTERPRETERS, PythonTool, describe_code_run, python_problem
from qwen3_chat.tools.tool import ToolError
from qwen3_chat.tools.tool_runner import ToolRunner
from qwen3_chat.tools.tool_settings import ToolSettings
from tests.fakes import FakeEngine
from tests.session.test_tool_turns import calling, saying

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or jail_problem() is not None,
    reason="needs a Linux kernel with Landlock on x86-64",
)

PROBLEMS = tomllib.loads(Path(__file__).with_name("python_problems.toml").read_text("utf-8"))["problem"]

PLOT = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3], [1, 4, 9])\nplt.savefig('plot.png')",
    "[Files written: plot.png]",
)
PICTURE = (
    "open('picture.svg', 'w').write('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'); None",
    "[Files written: picture.svg]",
)
"""A picture by hand stands for the plot where there is no matplotlib."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


@pytest.fixture
async def toolbox(store: ChatStore) -> AsyncIterator[Toolbox]:
    toolbox = Toolbox(ToolSettings(chat_folder=store.chat_folder))
    yield toolbox
    await toolbox.close()


def python(code: str) -> ToolCall:
    return ToolCall("python", json.dumps({"code": code}))


def session_of(store: ChatStore, toolbox: Toolbox, *codes: str) -> ChatSession:
    scripts = [step for code in codes for step in (calling(python(code)), saying("Done."))]
    session = ChatSession(
        FakeEngine(*scripts, tokens_per_message=1),
        store,
        draw_seed=lambda: 1,
        clock=lambda: 0.0,
        options=TurnOptions(tools=("python",)),
        toolbox=toolbox,
    )
    session.set_tool_runner(ToolRunner(ConsentRules(allows_all=True)))
    return session


async def results(session: ChatSession, questions: int) -> list[str]:
    for _ in range(questions):
        await session.send("Please.", lambda event: None)
    return [stored.message.content for stored in session.messages if stored.message.role is Role.TOOL]


async def test_forty_problems_are_solved_in_one_chat(store: ChatStore, toolbox: Toolbox) -> None:
    plot, written = PLOT if find_spec("matplotlib") else PICTURE
    codes = [problem["code"] for problem in PROBLEMS] + [plot]
    session = session_of(store, toolbox, *codes)
    answers = await results(session, len(codes))
    wrong = {
        problem["name"]: answer
        for problem, answer in zip(PROBLEMS, answers, strict=False)
        if problem["value"] != answer.partition("\n[Files")[0]
    }
    assert wrong == {}
    assert len(answers) == len(PROBLEMS) + 1 > 40
    assert answers[-1] == written
    assert session.chat is not None
    assert (store.chat_folder(session.chat.id) / written.split()[-1].rstrip("]")).is_file()


async def test_variables_are_those_of_the_chat(store: ChatStore, toolbox: Toolbox) -> None:
    first, second = session_of(store, toolbox, "x = 1", "x"), session_of(store, toolbox, "x")
    assert (await results(first, 2))[-1] == "1"
    assert "NameError" in (await results(second, 1))[0]
    (failed,) = [stored.meta.call for stored in second.messages if stored.meta.call]
    assert failed.is_error


async def test_a_later_run_of_the_app_is_told_that_variables_are_gone(
    store: ChatStore, toolbox: Toolbox
) -> None:
    session = session_of(store, toolbox, "open('kept.txt', 'w').write('a')", "open('kept.txt').read()")
    await results(session, 1)
    await toolbox.close()
    assert (await results(session, 1))[-1] == (
        "[A new interpreter: variables of earlier calls are gone, files are still there.]\n'a'"
    )


async def test_it_asks_first_and_off_a_terminal_it_is_denied(store: ChatStore, toolbox: Toolbox) -> None:
    session = session_of(store, toolbox, "1")
    session.set_tool_runner(ToolRunner())
    assert "nobody can be asked" in (await results(session, 1))[0]


async def test_only_a_few_interpreters_live_at_once(store: ChatStore, toolbox: Toolbox) -> None:
    tools = [toolbox.registry(["python"], number).tools[0] for number in range(1, MAX_INTERPRETERS + 2)]
    for tool in tools:
        await tool.run({"code": "x = 1"})
    assert await tools[-1].run({"code": "x"}) == "1"
    with pytest.raises(ToolError, match="NameError"):
        await tools[0].run({"code": "x"})


async def test_a_limit_is_told_and_that_the_variables_are_lost(store: ChatStore) -> None:
    tool = PythonTool(ToolSettings(chat_folder=store.chat_folder), JailSettings("", run_s=0.3))
    with pytest.raises(ToolError, match=r"more than 0 s\. All variables are lost"):
        await tool.for_chat(1).run({"code": "while True: pass"})
    await tool.close()


async def test_without_a_folder_nothing_runs() -> None:
    def refuse(chat_id: int) -> Path:
        raise PermissionError(13, "Permission denied")

    for settings, reason in [
        (ToolSettings(), "no folder"),
        (ToolSettings(chat_folder=refuse), "Permission denied"),
    ]:
        with pytest.raises(ToolError, match=reason):
            await PythonTool(settings).for_chat(1).run({"code": "1"})
    with pytest.raises(ToolError, match="no folder"):
        await PythonTool(ToolSettings(chat_folder=refuse)).for_chat(None).run({"code": "1"})


def test_every_end_of_a_run_is_told() -> None:
    limits = JailSettings("")
    for end in RunEnd:
        text = describe_code_run(CodeRun(end, status=-11), limits)
        assert ("lost" in text) == (end is not RunEnd.DONE)
    many = replace(CodeRun(RunEnd.DONE), files=tuple(f"{n}.txt" for n in range(30)), n_dropped=12)
    assert describe_code_run(many, limits).endswith("19.txt and 10 more]")
    assert "[12 more characters were printed.]" in describe_code_run(many, limits)


def test_where_code_cannot_be_confined_it_is_off_unless_the_user_insists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(python_tool, "jail_problem", lambda: JailProblem.KERNEL)
    assert Toolbox().registry(["python", "now"]).names == ("now",)
    unprotected = ToolSettings(runs_unprotected=True)
    assert python_problem(unprotected) is None
    assert Toolbox(unprotected).registry(["python"]).names == ("python",)


def test_what_was_allowed_in_the_jail_is_not_allowed_without() -> None:
    confined, unprotected = (
        PythonTool(ToolSettings(runs_unprotected=runs)).for_chat(1) for runs in (False, True)
    )
    assert confined.definition_hash != unprotected.definition_hash
    assert "no network" not in unprotected.description


async def test_without_protection_code_has_the_rights_of_the_user(store: ChatStore) -> None:
    toolbox = Toolbox(ToolSettings(chat_folder=store.chat_folder, runs_unprotected=True))
    (tool,) = toolbox.registry(["python"], 1).tools
    assert (
        await tool.run(
            {"code": "import os; os.path.exists('/proc/self/maps') and open('/proc/self/maps').read(0)"}
        )
        == "''"
    )
    await toolbox.close()


async def test_a_stopped_turn_stops_its_code(store: ChatStore, toolbox: Toolbox) -> None:
    session = session_of(store, toolbox, "while True: pass")
    started = asyncio.Event()
    turn = asyncio.create_task(
        session.send(
            "Go.", lambda event: started.set() if type(event).__name__ == "ToolCallStarted" else None
        )
    )
    await started.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert "stopped before it had a result" in session.messages[-1].message.content
