"""Servers that run, in the process that talks to them: what they return, how they fail, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from made_up_mcp_server import ECHO
from qwen3_chat.chat import ToolCall
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.server_status import McpState
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.call_context import CallContext, ToolCallProgressed, current_call
from qwen3_chat.tools.consent import ConsentRules
from qwen3_chat.tools.tool import ToolError, ToolRegistry
from qwen3_chat.tools.tool_runner import ToolRunner
from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.mcp.real_servers import http_server, made_up, processes_of, running_tools

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and processes")


async def call(tools: McpTools, name: str) -> str:
    (tool,) = tools.tools_named(f"mcp:{name}.echo")
    return await tool.run({"text": "hi"})


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    while not holds():
        time.sleep(0.02)


async def test_one_server_that_fails_leaves_the_others_usable(tmp_path: Path) -> None:
    kinds = (
        "OldAndHonest",
        "CrashingAtOnce",
        "DyingInCalls",
        "HangingInCalls",
        "EndlessLine",
        "EndlessLineInCalls",
        "JunkBetween",
        "InvalidUtf8",
        "WrongIds",
        "ErrorAnswers",
        "WrongShapes",
    )
    async with running_tools(tmp_path, made_up(*kinds)) as (tools, sentences):
        states = {kind: tools.status(kind).state for kind in kinds}
        failed = {kind for kind, state in states.items() if state is McpState.FAILED}
        assert failed == {"CrashingAtOnce", "EndlessLine"}
        assert any("CrashingAtOnce" in text and "mcp.server.fastmcp" in text for text in sentences)
        assert any("EndlessLine" in text and "16 MiB" in text for text in sentences)
        assert tools.status("OldAndHonest").protocol == "2025-11-25"
        assert [await call(tools, kind) for kind in ("OldAndHonest", "JunkBetween", "WrongIds")] == ["hi"] * 3
        assert await call(tools, "InvalidUtf8") == "caf\ufffd"
        for _ in range(2):  # the second time it was started again
            with pytest.raises(ToolError, match="out of memory"):
                await call(tools, "DyingInCalls")
        with pytest.raises(ToolError, match="16 MiB"):
            await call(tools, "EndlessLineInCalls")
        with pytest.raises(ToolError) as raised:
            await call(tools, "ErrorAnswers")
        assert "\x1b" not in str(raised.value)
        assert tools.tools_named("mcp:WrongShapes") == []
        pid, reading = tools.process_id, tools._process._reading
        assert pid is not None
        assert reading is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(WAIT_LIMIT_S):
            await reading
        assert await call(tools, "OldAndHonest") == "hi"  # with another process
        waiting = asyncio.create_task(call(tools, "HangingInCalls"))
        assert await call(tools, "OldAndHonest") == "hi"
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await call(tools, "OldAndHonest") == "hi"


async def test_a_call_tells_its_progress_and_its_server_of_a_cancellation(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("Reporting")) as (tools, _):
        (tool,) = tools.tools_named("mcp:Reporting.echo")
        runner, registry = ToolRunner(ConsentRules(allows_all=True)), ToolRegistry([tool])
        seen, has_come = list[ToolCallProgressed](), asyncio.Event()

        def on_progress(event: ToolCallProgressed) -> None:
            seen.append(event)
            has_come.set()

        async def run(text: str) -> str:
            call = ToolCall(tool.call_name, json.dumps({"text": text}))
            outcomes = await runner.run([call], registry, lambda call: None, on_progress=on_progress)
            return outcomes[0].text

        waiting = asyncio.create_task(run("wait"))
        async with asyncio.timeout(WAIT_LIMIT_S):
            await has_come.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await run("go on") == "1 cancelled"
        assert seen[0] == ToolCallProgressed(tool.call_name, 1, 4, "half\ufffd[31m way")
        assert seen[0].fraction == 0.25


async def test_tools_that_change_while_they_are_on_offer_are_noted(tmp_path: Path) -> None:
    async with running_tools(tmp_path, made_up("ChangingTools")) as (tools, _):
        assert await call(tools, "ChangingTools") == "hi"
        await asyncio.to_thread(wait_until, lambda: tools.status("ChangingTools").has_changed)
        with pytest.raises(ToolError, match="The tool has changed meanwhile"):
            await call(tools, "ChangingTools")


async def test_images_become_files_of_the_chat_and_structured_content_is_json(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    async with running_tools(tmp_path, made_up("Picturing")) as (tools, _):
        (tool,) = tools.tools_named("mcp:Picturing.echo")
        token = current_call.set(CallContext(chat_id=7))
        other, same = await tool.run({"text": "other"}), await tool.run({"text": "same"})
        current_call.reset(token)
        assert "[Images not kept: there is no folder for this chat]" in await tool.run({"text": "same"})
    (image,) = folder.iterdir()
    assert image.read_bytes().startswith(b"\x89PNG")
    assert image.stat().st_mode & 0o777 == 0o600
    assert f"[Files written: {image.name}]\nYou cannot see images; the user can open these files." in other
    assert "[Images not kept: no PNG, JPEG, GIF or WebP; larger than 8 MiB]" in other
    assert '{"b": 2, "a": [1]}\n{"a": [1], "b": 3}\n' in other
    assert same.count('"a"') == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux adopts processes")
async def test_nothing_of_a_server_that_does_not_end_is_left(tmp_path: Path) -> None:
    server = replace(made_up("StayingOn").usable["StayingOn"], environment={"MADE_UP_FOR": str(tmp_path)})
    async with running_tools(tmp_path, McpServers({"StayingOn": server})) as (tools, _):
        assert await call(tools, "StayingOn") == "hi"
        assert len(processes_of(tmp_path)) >= 4  # the launcher, the server, one in a group, one in a session
        pid = tools.process_id
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not processes_of(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux adopts processes")
def test_an_app_that_is_killed_takes_process_and_servers_along(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from dataclasses import replace\n"
        "from qwen3_chat.mcp.server_config import McpServers\n"
        "from tests.mcp.real_servers import made_up, running_tools\n"
        "async def main():\n"
        "    folder = sys.argv[1]\n"
        "    server = made_up('StayingOn').usable['StayingOn']\n"
        "    server = replace(server, environment={'MADE_UP_FOR': folder})\n"
        "    async with running_tools(Path(folder), McpServers({'StayingOn': server})):\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    app = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "scripts")))},
        stdout=subprocess.PIPE,
    )
    with app:
        assert app.stdout is not None
        assert app.stdout.readline() == b"ready\n"
        assert processes_of(tmp_path)
        app.kill()
    wait_until(lambda: not processes_of(tmp_path))


async def test_a_server_that_is_reached_by_http_gets_the_headers(tmp_path: Path) -> None:
    with http_server({"X-Key": "k1"}, lambda: [ECHO]) as (url, asked):
        servers = McpServers(
            {
                "web": McpServer("web", Transport.HTTP, url=url, headers={"X-Key": "env:KEY"}),
                "without": McpServer("without", Transport.HTTP, url=url),
                "nobody": McpServer("nobody", Transport.HTTP, url="http://127.0.0.1:9/mcp"),
            }
        )
        environ = {**os.environ, "KEY": "k1"}
        async with running_tools(tmp_path, servers, environ) as (tools, sentences):
            assert await call(tools, "web") == "hi"
            assert tools.status("without").state is McpState.FAILED
            assert tools.status("nobody").state is McpState.FAILED
            assert len(sentences) == 2
            assert not any("k1" in text for text in sentences)
        assert "tools/call" in asked


async def test_secrets_are_taken_out_of_results_and_other_variables_are_not(tmp_path: Path) -> None:
    declared = {
        "MY_TOKEN": "env:TOKEN",
        "PLACE": "${HOME}/notes",
        "SIGNING_KEY": "first line\nsecond line",
    }
    told = made_up("Telling").usable["Telling"]
    arguments = (*told.arguments, "--password", "${WORD}", "Authorization: Bearer ${TOKEN}")
    server = replace(told, arguments=arguments, environment=declared)
    environ = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "OPENAI_API_KEY": "sk-never",
        "TOKEN": "s3cret-of-env",
        "WORD": "pass-word-1",
    }
    async with running_tools(tmp_path, McpServers({"Telling": server}), environ) as (tools, _):
        result = await call(tools, "Telling")
    text, structured = (json.loads(line) for line in result.splitlines())
    assert structured == {**text, "more": "\n"}
    variables = text["variables"]
    assert variables.pop("PATH") == os.environ["PATH"]
    assert variables.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # which Python sets itself
    assert variables == {
        "HOME": str(tmp_path),
        "PLACE": f"{tmp_path}/notes",
        "MY_TOKEN": "•••",
        "SIGNING_KEY": "•••",
    }
    assert text["arguments"] == ["--password", "•••", "Authorization: •••"]
    assert text["folder"] == str(tmp_path)


async def test_a_server_loads_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "clone", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    (here / "mcp_server_of_a_stranger.py").write_text("open('it-ran', 'w')")
    monkeypatch.chdir(here)
    server = McpServer("x", Transport.STDIO, sys.executable, ("-m", "mcp_server_of_a_stranger"))
    environ = {**os.environ, "HOME": str(home)}
    async with running_tools(tmp_path, McpServers({"x": server}), environ) as (_, sentences):
        assert "No module named mcp_server_of_a_stranger" in sentences[0]
    assert not (here / "it-ran").exists()


async def test_the_log_of_a_server_is_private_limited_and_without_secrets(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "print('key is', os.environ['KEY'], file=sys.stderr)\n"
        "sys.stderr.write('x' * 1000 + '\\n')\n"
        "for n in range(3000): sys.stderr.write('y' * 1000 + '\\n')\n"
        "sys.exit('no key ' + os.environ['KEY'])\n"
    )
    server = McpServer("x", Transport.STDIO, sys.executable, ("-S", "-c", script), {"KEY": "env:SECRET"})
    environ = {**os.environ, "SECRET": "s3cret-value"}
    async with running_tools(tmp_path, McpServers({"x": server}), environ) as (_, sentences):
        assert "no key •••" in sentences[0]
    for log in (tmp_path / "mcp-x.log", tmp_path / "mcp-x.log.1"):
        assert log.stat().st_mode & 0o777 == 0o600
        assert log.stat().st_size < 1_200_000
        assert "s3cret" not in log.read_text()


def test_the_launcher_ends_with_the_status_of_its_server() -> None:
    from qwen3_chat.mcp import launcher

    command = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid())]
    assert subprocess.run([*command, "/bin/sh", "-c", "exit 7"], check=False).returncode == 7
    missing = subprocess.run([*command, "/no/such/file"], stderr=subprocess.PIPE, text=True, check=False)
    assert (missing.returncode, missing.stderr) == (127, "/no/such/file: No such file or directory\n")
    orphan = [*command[:-1], "1", "/bin/sh", "-c", "echo it ran"]
    assert subprocess.run(orphan, stdout=subprocess.PIPE, check=False).stdout == b""
